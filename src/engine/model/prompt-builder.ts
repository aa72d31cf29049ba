import { randomInt } from "node:crypto";
import {
  LlamaText,
  SpecialToken,
  type ChatHistoryItem,
  type ChatWrapper,
  type LlamaModel,
} from "node-llama-cpp";
import { ServiceError } from "../../core/errors.ts";
import { fitPrompt, systemMessage, type Turn } from "../../core/fit-prompt.ts";
import { hashOf } from "../../core/ids.ts";
import type { Sampling } from "../../core/sampling.ts";
import { LruCache } from "../../core/lru-cache.ts";
import type { MarkerBreaker } from "./role-markers.ts";
import { CONTEXT_STATE, type PreparedRequest } from "../ports.ts";
import type { GrammarCache } from "./grammar-cache.ts";
import { resolveSampling } from "../generation/resolved-sampling.ts";
import type { EngineRequest, PrepareRequest } from "../../engine-wire/requests.ts";

export interface PromptBuilderOptions {
  readonly model: LlamaModel;
  readonly template: ChatWrapper;
  /** Applied to all text that the template has not written. */
  readonly breakMarkers: MarkerBreaker;
  readonly grammars: GrammarCache;
  /** Tokens of a slot. */
  readonly contextTokens: number;
  /** The model's defaults. */
  readonly sampling: Sampling;
}

// Texts do not tokenize quite additively: a fitted prompt that came out too long is fitted again with less room.
const FITTING_ROUNDS = 4;
const SHARED_PREFIXES = 32;
const COUNTS = 16_384;
const WORTH_A_HASH = 256;
const MIN_WEIGHT = 0.01;
const MAX_WEIGHT = 100;

interface Rendered {
  readonly tokens: readonly number[];
  readonly droppedTurns: number;
}

/** Makes a request ready for the model: fits it to the window, builds the prompt's tokens, compiles its grammar. */
export class PromptBuilder {
  readonly #options: PromptBuilderOptions;
  readonly #stopTokens: ReadonlySet<number>;
  readonly #stopTexts: readonly string[];
  /** Tokens that the template adds around a message, and once around all. */
  readonly #overheadPerMessage: number;
  readonly #overheadOnce: number;
  readonly #counts = new LruCache<string, number>(COUNTS);
  readonly #shared = new LruCache<string, readonly number[]>(SHARED_PREFIXES);

  constructor(options: PromptBuilderOptions) {
    this.#options = options;
    const { model, template } = options;
    const triggers = template.generateContextState({
      chatHistory: history("", [], ""),
    }).stopGenerationTriggers;
    const tokenized = triggers.map((trigger) => trigger.tokenize(model.tokenizer));
    const single = tokenized.filter((tokens) => tokens.length === 1).flat();
    this.#stopTokens = new Set(single.filter((token) => model.isSpecialToken(token)));
    this.#stopTexts = triggers
      .map(String)
      .filter((text, index) => tokenized[index]?.length !== 1 && text.trim() !== "");
    const one = this.#render("", [{ role: "user", content: "x" }], "").length;
    const three = this.#render("", ["user", "assistant", "user"].map(sample), "").length;
    const text = this.countTokens("x");
    this.#overheadPerMessage = Math.max(0, Math.ceil((three - one) / 2) - text);
    this.#overheadOnce = Math.max(0, one - text - this.#overheadPerMessage);
  }

  countTokens(text: string): number {
    // Histories come again with each turn; only what is new in them is tokenized.
    const key = text.length > WORTH_A_HASH ? hashOf(text) : undefined;
    const known = key === undefined ? undefined : this.#counts.get(key);
    if (known !== undefined) return known;
    const count = this.#options.model.tokenize(text, false, "trimLeadingSpace").length;
    if (key !== undefined) this.#counts.set(key, count);
    return count;
  }

  /** @throws ServiceError `prompt_too_long`; `bad_request` for a schema that cannot be a grammar. */
  async prepare(request: EngineRequest): Promise<PreparedRequest> {
    const { jsonSchema } = request;
    const { tokens, droppedTurns } = this.#fitted(request);
    const grammar = jsonSchema && (await this.#options.grammars.use(jsonSchema));
    return {
      tokens,
      droppedTurns,
      ...this.#shareOf(request.system, tokens),
      maxTokens: request.maxTokens,
      sampling: resolveSampling(request.sampling, this.#options.sampling, jsonSchema !== undefined, random32),
      // A stop text inside a constrained answer would cut the JSON.
      stop: grammar ? grammar.stop : [...(request.sampling.stop ?? []), ...this.#stopTexts],
      stopTokens: this.#stopTokens,
      trimEnd: grammar !== undefined,
      client: request.client,
      conversation: request.conversation,
      accountKey: request.accountKey,
      weight: boundedWeight(request.weight),
      background: false,
      ...(grammar && { grammarState: grammar.state }),
    };
  }

  /** The beginning that all prompts of a client have as long as its context stays; nothing when it does not fit. */
  prepareContext(request: PrepareRequest): PreparedRequest | undefined {
    const { breakMarkers, contextTokens, sampling } = this.#options;
    const system = breakMarkers(systemMessage(request.system, request.context));
    const tokens = this.#beginning(system);
    if (tokens.length === 0 || tokens.length >= contextTokens) return undefined;
    return {
      tokens,
      droppedTurns: 0,
      ...this.#shareOf(request.system, tokens),
      maxTokens: 0,
      sampling: resolveSampling({}, sampling, false, random32),
      stop: [],
      stopTokens: this.#stopTokens,
      trimEnd: false,
      client: request.client,
      conversation: CONTEXT_STATE,
      accountKey: request.accountKey,
      weight: boundedWeight(request.weight),
      background: true,
    };
  }

  #fitted(request: EngineRequest): Rendered {
    const { breakMarkers, contextTokens } = this.#options;
    const system = breakMarkers(systemMessage(request.system, request.context));
    const turns = request.turns.map(({ role, content }) => ({ role, content: breakMarkers(content) }));
    // An answer with a schema begins again: half of a JSON text is not a start the grammar knows.
    const begun = request.jsonSchema ? "" : breakMarkers(request.continueFrom ?? "");
    const room = contextTokens - this.#overheadOnce - (begun === "" ? 0 : this.countTokens(begun)) - 1;
    let windowTokens = room;
    for (let round = 0; round < FITTING_ROUNDS; round++) {
      const fit = fitPrompt({
        system,
        turns,
        windowTokens,
        outputTokens: request.maxTokens,
        overheadPerMessage: this.#overheadPerMessage,
        countTokens: (text) => this.countTokens(text),
      });
      const tokens = this.#render(system, fit.turns, begun);
      const excess = tokens.length + request.maxTokens - (contextTokens - 1);
      if (excess <= 0) return { tokens, droppedTurns: fit.droppedTurns };
      windowTokens -= excess;
    }
    throw new ServiceError(
      "prompt_too_long",
      `The prompt does not fit the model's window of ${contextTokens} tokens less ${request.maxTokens} for the answer.`,
    );
  }

  #render(system: string, turns: readonly Turn[], begun: string): readonly number[] {
    const { model, template } = this.#options;
    const { contextText } = template.generateContextState({ chatHistory: history(system, turns, begun) });
    // Whether a prompt begins with BOS is the model's affair. Templates differ in whether they write it, and where it
    // doubles as a role marker a second one spoils the answers.
    const [first, ...rest] = contextText.values;
    const body = first instanceof SpecialToken && first.value === "BOS" ? LlamaText(rest) : contextText;
    const tokens = body.tokenize(model.tokenizer);
    const { bos, shouldPrependBosToken } = model.tokens;
    return shouldPrependBosToken && bos !== null ? [bos, ...tokens] : tokens;
  }

  /** What all prompts with this system message begin with, up to the first message of the user: templates leave out an empty one. */
  #beginning(system: string): readonly number[] {
    const [one = [], other = []] = ["a", "0"].map((content) =>
      this.#render(system, [{ role: "user", content }], ""),
    );
    return one.slice(0, commonLength(one, other));
  }

  /** The prompt's beginning that does not depend on the client: template and system text. */
  #shareOf(system: string, tokens: readonly number[]): { sharedTokens: number; sharedKey: string } {
    const text = this.#options.breakMarkers(system);
    let shared = this.#shared.get(text);
    if (!shared) {
      shared = this.#beginning(text);
      this.#shared.set(text, shared);
    }
    const length = commonLength(shared, tokens);
    return { sharedTokens: length, sharedKey: `${hashOf(text)} ${length}` };
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function sample(role: string): Turn {
  return { role: role === "user" ? "user" : "assistant", content: "x" };
}

/** A gateway that sends nonsense must not stop the others. */
function boundedWeight(weight = 1): number {
  return Number.isFinite(weight) ? Math.min(Math.max(weight, MIN_WEIGHT), MAX_WEIGHT) : 1;
}

function random32(): number {
  return randomInt(0, 2 ** 32);
}

/** The last item is the answer to be written, with the text it begins with. */
function history(system: string, turns: readonly Turn[], begun: string): ChatHistoryItem[] {
  const items: ChatHistoryItem[] = system === "" ? [] : [{ type: "system", text: system }];
  for (const { role, content } of turns) {
    items.push(role === "user" ? { type: "user", text: content } : { type: "model", response: [content] });
  }
  items.push({ type: "model", response: [begun] });
  return items;
}
