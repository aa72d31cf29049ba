import { LlamaGrammarEvaluationState, type Llama, type LlamaGrammar, type LlamaModel } from "node-llama-cpp";
import { ServiceError } from "../../core/errors.ts";
import type { LongWorkScope } from "../ports.ts";
import { LruCache } from "../../core/lru-cache.ts";

/** Compiled grammars kept; the least recently used one is dropped. */
const MAX_GRAMMARS = 64;

/** The grammar of one generation. */
export interface GrammarUse {
  /** State of this generation only. */
  readonly state: LlamaGrammarEvaluationState;
  /** Texts that end the answer. */
  readonly stop: readonly string[];
}

/** Compiles each JSON schema once. Generations share the compiled grammar but not its state. */
export class GrammarCache {
  readonly #llama: Llama;
  readonly #longWork: LongWorkScope;
  readonly #model: LlamaModel;
  readonly #compiled = new LruCache<string, LlamaGrammar>(MAX_GRAMMARS);

  constructor(llama: Llama, model: LlamaModel, longWork: LongWorkScope) {
    this.#longWork = longWork;
    this.#llama = llama;
    this.#model = model;
  }

  /** @throws ServiceError `bad_request` when the schema cannot be compiled to a grammar. */
  async use(schema: Readonly<Record<string, unknown>>): Promise<GrammarUse> {
    const key = JSON.stringify(schema);
    let grammar = this.#compiled.get(key);
    if (!grammar) {
      grammar = await this.#longWork.during(() => this.#compile(schema));
      this.#compiled.set(key, grammar);
    }
    return {
      state: new LlamaGrammarEvaluationState({ model: this.#model, grammar }),
      stop: grammar.stopGenerationTriggers.map(String),
    };
  }

  async #compile(schema: Readonly<Record<string, unknown>>): Promise<LlamaGrammar> {
    try {
      return await this.#llama.createGrammarForJsonSchema(
        schema as Parameters<Llama["createGrammarForJsonSchema"]>[0],
      );
    } catch (cause) {
      throw new ServiceError(
        "bad_request",
        "The local model does not support this JSON schema. Use a simpler one.",
        {
          cause,
        },
      );
    }
  }
}
