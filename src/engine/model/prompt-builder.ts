import { randomInt } from "node:crypto";
import { LlamaText, SpecialToken, type LlamaModel } from "node-llama-cpp";
import { ServiceError } from "../../core/errors.ts";
import { fitPrompt, systemMessage, type Turn } from "../../core/fit-prompt.ts";
import { hashOf } from "../../core/ids.ts";
import type { Sampling } from "../../core/sampling.ts";
import { LruCache } from "../../core/lru-cache.ts";
import { answerEnds, type AnswerEnds } from "./templates/answer-ends.ts";
import { promptOf, type PromptParts, type PromptTemplate } from "./templates/prompt-template.ts";
import type { MarkerBreaker } from "./role-markers.ts";
import { boundedWeight, CONTEXT_STATE, type PreparedRequest } from "../ports.ts";
import type { GrammarCache } from "./grammar-cache.ts";
import { whole, type Pieces, type TextTokenizer } from "./text-tokenizer.ts";
import { resolveSampling } from "../generation/resolved-sampling.ts";
import type { EngineRequest, PrepareRequest } from "../../engine-wire/requests.ts";

export interface PromptBuilderOptions {
  readonly model: LlamaModel;
  readonly tokenizer: TextTokenizer;
  readonly template: PromptTemplate;
  /** Applied to all text that is not part of the template. */
  readonly breakMarkers: MarkerBreaker;
  readonly grammars: GrammarCache;
  /** Window of a slot, in tokens. */
  readonly contextTokens: number;
  /** Defaults of the model. */
  readonly sampling: Sampling;
  now(): Date;
}

/**
 * Attempts to fit a prompt. The token count of a prompt is not exactly the sum of the counts of its parts, so a fitted
 * prompt that is still too long is fitted again to a smaller window.
 */
const FITTING_ROUNDS = 4;
/** Tokenized system texts kept. */
const MAX_SHARED_PREFIXES = 32;
/** Token counts of texts kept. */
const MAX_COUNTS = 16_384;
/** Texts of at most this length are tokenized each time, which is cheaper than hashing; in UTF-16 units. */
const MAX_UNHASHED_CHARS = 256;

const SAMPLE_USER: Turn = { role: "user", content: "x" };
const SAMPLE_ANSWER: Turn = { role: "assistant", content: "x" };

interface Rendered {
  readonly tokens: readonly number[];
  readonly droppedTurns: number;
}

/** Prepares requests for the model: fits them to the window, builds the prompt's tokens and compiles the grammar. */
export class PromptBuilder {
  readonly #options: PromptBuilderOptions;
  readonly #ends: AnswerEnds;
  /** Tokens that the template adds to each message. */
  readonly #overheadPerMessage: number;
  /** Tokens that the template adds once to a prompt. */
  readonly #overheadOnce: number;
  readonly #counts = new LruCache<string, number>(MAX_COUNTS);
  readonly #shared = new LruCache<string, readonly number[]>(MAX_SHARED_PREFIXES);

  constructor(options: PromptBuilderOptions) {
    this.#options = options;
    const { model, template } = options;
    this.#ends = answerEnds(model, template.ends);
    const one = whole(this.#render(promptOf("", [SAMPLE_USER]))).length;
    const three = whole(this.#render(promptOf("", [SAMPLE_USER, SAMPLE_ANSWER, SAMPLE_USER]))).length;
    const text = whole(this.countTokens("x"));
    this.#overheadPerMessage = Math.max(0, Math.ceil((three - one) / 2) - text);
    this.#overheadOnce = Math.max(0, one - text - this.#overheadPerMessage);
  }

  /** Number of tokens of a text without special tokens. Above the window it is a lower bound. */
  *countTokens(text: string): Pieces<number> {
    // Each turn sends the history again. The counts of its older messages are cached.
    const key = text.length > MAX_UNHASHED_CHARS ? hashOf(text) : undefined;
    const known = key === undefined ? undefined : this.#counts.get(key);
    if (known !== undefined) return known;
    const count = yield* this.#options.tokenizer.count(text, this.#options.contextTokens);
    if (key !== undefined) this.#counts.set(key, count);
    return count;
  }

  /**
   * Prepares a request, in pieces. A grammar is added afterwards, by {@link withGrammar}.
   *
   * @throws ServiceError `prompt_too_long`
   */
  *prepare(request: EngineRequest): Pieces<PreparedRequest> {
    const constrained = request.jsonSchema !== undefined;
    const { tokens, droppedTurns } = yield* this.#fitted(request);
    // A grammar allows no reasoning, and a continued answer is past it.
    const answersAtOnce = constrained || Boolean(request.continueFrom);
    return {
      tokens,
      droppedTurns,
      ...(!answersAtOnce && { promptEnd: this.#options.template.promptEnd }),
      ...(yield* this.#shareOf(request.system, tokens)),
      maxTokens: request.maxTokens,
      sampling: resolveSampling(request.sampling, this.#options.sampling, constrained, random32),
      stop: [...(request.sampling.stop ?? []), ...this.#ends.texts],
      stopTokens: this.#ends.tokens,
      continues: !constrained && Boolean(request.continueFrom),
      trimEnd: false,
      client: request.client,
      conversation: request.conversation,
      accountKey: request.accountKey,
      weight: boundedWeight(request.weight),
      background: false,
    };
  }

  /**
   * Constrains a prepared request to the schema of its request, if it has one.
   *
   * @throws ServiceError `bad_request` for a schema that cannot be compiled to a grammar
   */
  async withGrammar(prepared: PreparedRequest, { jsonSchema }: EngineRequest): Promise<PreparedRequest> {
    if (jsonSchema === undefined) return prepared;
    const { stop, state } = await this.#options.grammars.use(jsonSchema);
    // A stop text of the request would cut constrained JSON.
    return { ...prepared, stop, trimEnd: true, grammarState: state };
  }

  /**
   * Prepares the prefix that all prompts of a client share while its context does not change, in pieces.
   *
   * @returns undefined when the prefix is empty or does not fit the window.
   */
  *prepareContext(request: PrepareRequest): Pieces<PreparedRequest | undefined> {
    const { breakMarkers, contextTokens, sampling, tokenizer } = this.#options;
    const message = systemMessage(request.system, request.context);
    if (message.length > contextTokens * tokenizer.longestToken) return undefined;
    const tokens = yield* this.#prefixOf(breakMarkers(message));
    if (tokens.length === 0 || tokens.length >= contextTokens) return undefined;
    return {
      tokens,
      droppedTurns: 0,
      ...(yield* this.#shareOf(request.system, tokens)),
      maxTokens: 0,
      sampling: resolveSampling({}, sampling, false, random32),
      stop: [],
      stopTokens: this.#ends.tokens,
      trimEnd: false,
      client: request.client,
      conversation: CONTEXT_STATE,
      accountKey: request.accountKey,
      weight: boundedWeight(request.weight),
      background: true,
    };
  }

  *#fitted(request: EngineRequest): Pieces<Rendered> {
    const { breakMarkers, contextTokens } = this.#options;
    const system = breakMarkers(systemMessage(request.system, request.context));
    const turns = request.turns.map(({ role, content }) => ({ role, content: breakMarkers(content) }));
    // An answer with a schema starts again, because the grammar cannot continue from the middle of a JSON text.
    const answerStart = request.jsonSchema ? "" : breakMarkers(request.continueFrom ?? "");
    const startTokens = answerStart === "" ? 0 : yield* this.countTokens(answerStart);
    const counts = new Map<string, number>();
    for (const text of [system, ...turns.map(({ content }) => content)]) {
      if (!counts.has(text)) counts.set(text, yield* this.countTokens(text));
    }
    let windowTokens = contextTokens - this.#overheadOnce - startTokens - 1;
    for (let round = 0; round < FITTING_ROUNDS; round++) {
      const fit = fitPrompt({
        system,
        turns,
        windowTokens,
        outputTokens: request.maxTokens,
        overheadPerMessage: this.#overheadPerMessage,
        countTokens: (text) => counts.get(text) ?? 0,
      });
      const parts = {
        system,
        turns: fit.turns,
        answerStart,
        skipReasoning: request.jsonSchema !== undefined,
      };
      const tokens = yield* this.#render(parts);
      const excess = tokens.length + request.maxTokens - (contextTokens - 1);
      if (excess <= 0) return { tokens, droppedTurns: fit.droppedTurns };
      windowTokens -= excess;
    }
    throw new ServiceError(
      "prompt_too_long",
      `The prompt does not fit the model's window of ${contextTokens} tokens, of which ${request.maxTokens} are reserved for ` +
        "the answer. Shorten the message or the context, or lower max_tokens.",
    );
  }

  *#render(parts: PromptParts): Pieces<readonly number[]> {
    const { model, template, tokenizer } = this.#options;
    const contextText = template.render(parts);
    // The model's metadata decides whether a prompt begins with BOS, so a BOS of the template is removed. Where BOS
    // doubles as a role marker, a second one degrades the answers.
    const [first, ...rest] = contextText.values;
    const body = first instanceof SpecialToken && first.value === "BOS" ? LlamaText(rest) : contextText;
    const tokens = yield* tokenizer.render(body);
    const { bos, shouldPrependBosToken } = model.tokens;
    // Some templates write BOS as text.
    return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  }

  /**
   * Tokens shared by all prompts with this system message, up to the text of the first user message. They are taken
   * from two prompts, because templates leave out an empty message.
   */
  *#prefixOf(system: string): Pieces<readonly number[]> {
    const one = yield* this.#render(promptOf(system, [{ role: "user", content: "a" }]));
    const other = yield* this.#render(promptOf(system, [{ role: "user", content: "0" }]));
    return one.slice(0, commonLength(one, other));
  }

  /** The part of the prompt that all clients share: the beginning of the template and the system text. */
  *#shareOf(system: string, tokens: readonly number[]): Pieces<{ sharedTokens: number; sharedKey: string }> {
    const text = this.#options.breakMarkers(system);
    // Some templates write the date, so the beginning of prompts changes with it.
    const key = `${this.#options.now().toDateString()} ${text}`;
    let shared = this.#shared.get(key);
    if (!shared) {
      shared = yield* this.#prefixOf(text);
      this.#shared.set(key, shared);
    }
    const length = commonLength(shared, tokens);
    return { sharedTokens: length, sharedKey: `${hashOf(key)} ${length}` };
  }
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

function random32(): number {
  return randomInt(0, 2 ** 32);
}
