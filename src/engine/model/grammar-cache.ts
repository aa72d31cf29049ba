import { LlamaGrammarEvaluationState, type Llama, type LlamaGrammar, type LlamaModel } from "node-llama-cpp";
import { ServiceError } from "../../core/errors.ts";
import type { LongWorkScope } from "../ports.ts";
import { LruCache } from "../../core/lru-cache.ts";

const LIMIT = 64;

/** What constrains one generation. */
export interface GrammarUse {
  /** Of this generation only. */
  readonly state: LlamaGrammarEvaluationState;
  /** Texts after which the answer is complete. */
  readonly stop: readonly string[];
}

/** Compiles each JSON schema once; the compiled grammar is shared, its state is not. */
export class GrammarCache {
  readonly #llama: Llama;
  readonly #longWork: LongWorkScope;
  readonly #model: LlamaModel;
  readonly #compiled = new LruCache<string, LlamaGrammar>(LIMIT);

  constructor(llama: Llama, model: LlamaModel, longWork: LongWorkScope) {
    this.#longWork = longWork;
    this.#llama = llama;
    this.#model = model;
  }

  /** @throws ServiceError `bad_request` when the schema cannot be made a grammar. */
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
      throw new ServiceError("bad_request", "The local model cannot hold an answer to this JSON schema.", {
        cause,
      });
    }
  }
}
