import type { Drawn, EngineSequence, GenerateOptions, PreparedRequest, TokenIterator } from "../ports.ts";
import type { RequestState } from "./request-state.ts";

/** Owner of the KV in a slot: the client and conversation of its last request. */
export type SlotOwner = Pick<
  PreparedRequest,
  "client" | "conversation" | "accountKey" | "sharedTokens" | "sharedKey"
>;

/** A sequence of the model with its current request. Between requests it keeps the KV of the last conversation. */
export class Slot {
  readonly sequence: EngineSequence;
  request: RequestState | undefined;
  /** Time at which the current request got the slot, in milliseconds. */
  startedAt = 0;
  /** Time at which the last request released the slot, in milliseconds. */
  lastUsed = 0;
  /** Time at which progress was last reported, in milliseconds. */
  progressAt = 0;
  /** Owner of the KV; undefined when the KV has no owner. */
  owner: SlotOwner | undefined;
  /**
   * The current request dropped the end of its reusable KV, because its prompt completes sooner when that end is
   * processed again. A stored state must not be loaded for it.
   */
  refills = false;
  /** Value of {@link remaining} when the current request got the slot, or when a state was last loaded for it. */
  promptWork = 0;
  #iterator: TokenIterator | undefined;

  constructor(sequence: EngineSequence) {
    this.sequence = sequence;
  }

  get id(): number {
    return this.sequence.id;
  }

  /** Prompt tokens left to process, without the last one, which draws the first token of the answer. */
  get remaining(): number {
    if (!this.request || this.#iterator) return 0;
    const kept = this.request.background ? 0 : 1;
    return Math.max(0, this.request.length - kept - this.sequence.length);
  }

  /** Whether the slot holds KV of the request's conversation. */
  keeps(request: RequestState): boolean {
    const { client, conversation } = request.prepared;
    return this.owner?.conversation === conversation && this.owner.client === client;
  }

  /**
   * Number of the request's tokens that this slot's KV already holds and the request may use. The last token is always
   * processed, because it draws the next one. KV of another client is used only up to the tokens that all clients
   * share.
   */
  reusable(request: RequestState): number {
    const { sharedTokens, client } = request.prepared;
    const maxReusable = request.length - 1;
    const allowed = this.owner?.client === client ? maxReusable : Math.min(sharedTokens, maxReusable);
    return Math.min(this.sequence.commonPrefix(request.tokens(0, maxReusable)), allowed);
  }

  /**
   * Assigns the slot to a request. Call it only between steps.
   *
   * @param keep number of the reusable tokens to keep; the rest is processed again
   */
  async assign(
    request: RequestState,
    now: number,
    keep: (reusable: number) => number = (reusable) => reusable,
  ): Promise<void> {
    const reusable = this.reusable(request);
    this.request = request;
    this.owner = request.prepared;
    this.startedAt = now;
    this.progressAt = now;
    await this.keep(reusable, keep);
  }

  /** Truncates the KV to the tokens that `keep` selects of the `reusable` ones. */
  async keep(reusable: number, keep: (reusable: number) => number): Promise<void> {
    const kept = keep(reusable);
    this.refills = kept < reusable;
    await this.sequence.truncate(kept);
    this.promptWork = this.remaining;
  }

  /** Processes the next `count` tokens of the prompt; more must remain after them. */
  prefill(request: RequestState, count: number): Promise<void> {
    const from = this.sequence.length;
    return this.sequence.prefill(request.tokens(from, from + count));
  }

  /** Draws the next token. The first call also processes the rest of the prompt. */
  async next(request: RequestState): Promise<Drawn> {
    const { seed } = request.prepared.sampling;
    this.#iterator ??= this.sequence.generate(
      request.tokens(this.sequence.length),
      // A generation that restarts after a fault continues with different random numbers.
      optionsOf(request, (seed + request.generatedTokens) >>> 0),
    );
    const { value, done } = await this.#iterator.next(request.lastToken);
    return done === true ? { tokens: [], ended: true } : { tokens: [value], ended: false };
  }

  /** Checks guesses of the next tokens. Draws a token for each right guess, and one more. */
  verify(request: RequestState, guesses: readonly number[]): Promise<Drawn> {
    const seed = mixed(request.prepared.sampling.seed, request.generatedTokens);
    const tokens = request.tokens(this.sequence.length);
    return this.sequence.verify(tokens, guesses, optionsOf(request, seed));
  }

  /** Truncates the KV to the tokens known to be right, after a fault in a step. */
  async restart(request: RequestState): Promise<void> {
    this.#iterator = undefined;
    const known = request.tokens(0, request.length - 1);
    await this.sequence.truncate(this.sequence.commonPrefix(known));
  }

  /** Detaches the current request and keeps its KV. */
  async release(now: number): Promise<void> {
    const iterator = this.#iterator;
    const { request } = this;
    this.#iterator = undefined;
    this.request = undefined;
    this.lastUsed = now;
    await iterator?.return?.();
    // Drops right guesses past the end of an answer that a stop text or a cancel has ended.
    if (request) await this.sequence.truncate(request.length);
  }

  /** Erases the KV, after a fault. */
  async clear(): Promise<void> {
    this.owner = undefined;
    await this.sequence.truncate(0);
  }
}

function optionsOf(request: RequestState, seed: number): GenerateOptions {
  const { sampling, grammarState } = request.prepared;
  return {
    sampling: { ...sampling, seed },
    recentTokens: () => request.recentTokens(),
    ...(grammarState && { grammarState }),
  };
}

/** Seed for one check of guesses. Each check gets its own random numbers, different from those of single steps. */
function mixed(seed: number, generatedTokens: number): number {
  return (Math.imul(seed ^ Math.imul(generatedTokens + 1, 0x9e3779b1), 0x85ebca6b) ^ 0x5bd1e995) >>> 0;
}
