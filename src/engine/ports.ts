import type { ResolvedSampling } from "./generation/resolved-sampling.ts";

/** One native sequence, as the loop uses it. Calls on one sequence never overlap. */
export interface EngineSequence {
  /** Native id; the loop serves sequences in ascending order. */
  readonly id: number;
  /** Number of tokens in the KV. */
  readonly length: number;
  /** A copy of the tokens in the KV. */
  tokens(): readonly number[];
  /** Length of the longest prefix of `tokens` that the KV begins with. */
  commonPrefix(tokens: readonly number[]): number;
  /** Erases all but the first `count` tokens of the KV. Only between steps. */
  truncate(count: number): Promise<void>;
  /** Adds tokens to the KV. */
  prefill(tokens: readonly number[]): Promise<void>;
  /** Writes the KV to a new file. Only between steps. @returns the size of the file in bytes. */
  save(path: string): Promise<number>;
  /** Replaces the KV by a file that {@link save} of the same model wrote; empty on failure. Only between steps. */
  load(path: string): Promise<void>;
  /**
   * Draws one token for each `next()`. The first call adds `tokens` (at least one) to the KV, each later call adds
   * the token passed to it, which is the one drawn last. Done when the model ends the answer.
   */
  generate(tokens: readonly number[], options: GenerateOptions): TokenIterator;
  /**
   * Adds `tokens` (at least one) and `guesses` to the KV in one pass. Draws after the last of the tokens, and after
   * each guess as long as it equals the token drawn before it. Wrong guesses are erased from the KV.
   */
  verify(tokens: readonly number[], guesses: readonly number[], options: GenerateOptions): Promise<Drawn>;
}

export type TokenIterator = AsyncIterator<number, void, number | undefined>;

/** What a step drew for an answer. */
export interface Drawn {
  /** More than one token when guesses were right. */
  readonly tokens: readonly number[];
  /** Whether the model ended the answer after these tokens. */
  readonly ended: boolean;
}

export interface GenerateOptions {
  readonly sampling: ResolvedSampling;
  /** State of this generation; opaque to the loop. */
  readonly grammarState?: object;
  /** The latest tokens of the answer, for the repeat penalty. */
  recentTokens(): readonly number[];
}

/** A request prepared for the model: all work that needs the tokenizer is done. */
export interface PreparedRequest {
  /** The prompt; at least one token. */
  readonly tokens: readonly number[];
  /** Number of leading tokens that come from the system text, which all clients share. */
  readonly sharedTokens: number;
  /** Identifies the shared tokens: equal for all requests that share them. */
  readonly sharedKey: string;
  readonly droppedTurns: number;
  readonly maxTokens: number;
  readonly sampling: ResolvedSampling;
  readonly stop: readonly string[];
  /** Tokens that end the answer and are not part of it. */
  readonly stopTokens: ReadonlySet<number>;
  readonly grammarState?: object;
  /** Whether the prompt ends in text of the answer, which the output continues. */
  readonly continues?: boolean;
  /**
   * What the template writes at the end of the prompt, where it may open the reasoning; undefined if the output is an
   * answer from its first token, without any reasoning.
   */
  readonly promptEnd?: string;
  /** Whether white space at the end is removed from the answer. */
  readonly trimEnd: boolean;
  readonly client: string;
  readonly conversation: string;
  /** Account that is charged. */
  readonly accountKey: string;
  /**
   * Whether only the prompt is processed, ahead of the client's next request. Draws nothing; has the lowest priority.
   */
  readonly background: boolean;
  /** Share against others of weight 1; > 0. */
  readonly weight: number;
}

/** Conversation name under which the state of a client's context is stored. No conversation has this name. */
export const CONTEXT_STATE = "\u0000context";

/** Marks work that may take long, so that the watchdog does not treat it as a hang. */
export interface LongWorkScope {
  during<T>(work: () => Promise<T>): Promise<T>;
}

/** Range of a request's weight. */
const MIN_WEIGHT = 0.01;
const MAX_WEIGHT = 100;

/** Bounds the weight, so that an invalid value from one gateway cannot block the requests of others. */
export function boundedWeight(weight = 1): number {
  return Number.isFinite(weight) ? Math.min(Math.max(weight, MIN_WEIGHT), MAX_WEIGHT) : 1;
}
