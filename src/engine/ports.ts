import type { ResolvedSampling } from "./generation/resolved-sampling.ts";

/** What the loop needs of one native sequence. Calls on one sequence never overlap. */
export interface EngineSequence {
  /** Native id; the loop serves sequences in ascending order. */
  readonly id: number;
  /** Tokens in the KV. */
  readonly length: number;
  /** A copy of them. */
  tokens(): readonly number[];
  /** How many of `tokens`, from the first on, the KV already holds. */
  commonPrefix(tokens: readonly number[]): number;
  /** Erases all but the first `count` tokens of the KV. Only between steps. */
  truncate(count: number): Promise<void>;
  /** Adds tokens to the KV. */
  prefill(tokens: readonly number[]): Promise<void>;
  /** Writes the KV to a new file. Only between steps. @returns its bytes. */
  save(path: string): Promise<number>;
  /** Replaces the KV by what {@link save} of the same model has written; empty when it fails. Only between steps. */
  load(path: string): Promise<void>;
  /**
   * The first `next()` adds `tokens` to the KV, at least one, and each later one the token given to it, which was drawn
   * last; each draws another. Done: the model ended.
   */
  generate(tokens: readonly number[], options: GenerateOptions): TokenIterator;
  /**
   * Adds `tokens`, at least one, and `guesses` to the KV in one go, and draws after the last of the tokens and after
   * each guess that was drawn itself. Guesses that were not are erased again.
   */
  verify(tokens: readonly number[], guesses: readonly number[], options: GenerateOptions): Promise<Drawn>;
}

export type TokenIterator = AsyncIterator<number, void, number | undefined>;

/** What a step gave an answer. */
export interface Drawn {
  /** More than one where guesses were right. */
  readonly tokens: readonly number[];
  /** The model ended the answer after them. */
  readonly ended: boolean;
}

export interface GenerateOptions {
  readonly sampling: ResolvedSampling;
  /** Own state of one generation; opaque to the loop. */
  readonly grammarState?: object;
  /** The latest tokens of the answer, for the repeat penalty. */
  recentTokens(): readonly number[];
}

/** A request made ready for the model: all that needs the tokenizer is done. */
export interface PreparedRequest {
  /** Prompt, at least one token. */
  readonly tokens: readonly number[];
  /** How many of them come from text that all clients share: the system text. */
  readonly sharedTokens: number;
  /** The same for all requests that share these tokens. */
  readonly sharedKey: string;
  readonly droppedTurns: number;
  readonly maxTokens: number;
  readonly sampling: ResolvedSampling;
  readonly stop: readonly string[];
  /** Tokens that end the answer and are not part of it. */
  readonly stopTokens: ReadonlySet<number>;
  readonly grammarState?: object;
  /** White space at the end is not part of the answer. */
  readonly trimEnd: boolean;
  readonly client: string;
  readonly conversation: string;
  /** Who is charged. */
  readonly accountKey: string;
  /** A prompt that is only to be processed, before its client asks. It draws nothing and has the lowest priority. */
  readonly background: boolean;
  /** Share against others of weight 1; > 0. */
  readonly weight: number;
}

/** Stands for the state of a client's context where a conversation stands for its own. No conversation has this name. */
export const CONTEXT_STATE = "\u0000context";

/** Announces work that may take long, so that the watchdog does not take it for a hang. */
export interface LongWorkScope {
  during<T>(work: () => Promise<T>): Promise<T>;
}
