import type { Drawn, EngineSequence, GenerateOptions, PreparedRequest, TokenIterator } from "../ports.ts";
import type { RequestState } from "./request-state.ts";

/** Whose tokens a slot keeps. */
export type SlotOwner = Pick<
  PreparedRequest,
  "client" | "conversation" | "accountKey" | "sharedTokens" | "sharedKey"
>;

/** A sequence of the model and the request that has it; between requests it keeps the KV of its conversation. */
export class Slot {
  readonly sequence: EngineSequence;
  request: RequestState | undefined;
  /** When the present request got the slot. */
  startedAt = 0;
  /** When the slot was last given back. */
  lastUsed = 0;
  /** When progress was last told. */
  progressAt = 0;
  /** Whose KV this is; undefined when it is nobody's. */
  owner: SlotOwner | undefined;
  /**
   * The present request keeps less than it could, since its prompt is done sooner when the end of that is processed
   * once more; it is not to be loaded again.
   */
  refills = false;
  /** Prompt tokens that were to be processed when the present request got the slot, or last had something loaded. */
  promptWork = 0;
  #iterator: TokenIterator | undefined;

  constructor(sequence: EngineSequence) {
    this.sequence = sequence;
  }

  get id(): number {
    return this.sequence.id;
  }

  /** Prompt tokens to process before the last one, which draws the first token of the answer. */
  get remaining(): number {
    if (!this.request || this.#iterator) return 0;
    const kept = this.request.background ? 0 : 1;
    return Math.max(0, this.request.length - kept - this.sequence.length);
  }

  keeps(request: RequestState): boolean {
    const { client, conversation } = request.prepared;
    return this.owner?.conversation === conversation && this.owner.client === client;
  }

  /**
   * Tokens of the request that this slot's KV already holds. The last one is always processed, since it draws; what
   * another client left is used only as far as all clients share it.
   */
  reusable(request: RequestState): number {
    const { sharedTokens, client } = request.prepared;
    const most = request.length - 1;
    const allowed = this.owner?.client === client ? most : Math.min(sharedTokens, most);
    return Math.min(this.sequence.commonPrefix(request.tokens(0, most)), allowed);
  }

  /**
   * Gives the slot to a request, keeping what it may keep of the KV, or less: `keep` says how much of so many tokens.
   * Only between steps.
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

  /** Drops what the present request has after `reusable` tokens, or as many fewer as `keep` says. */
  async keep(reusable: number, keep: (reusable: number) => number): Promise<void> {
    const kept = keep(reusable);
    this.refills = kept < reusable;
    await this.sequence.truncate(kept);
    this.promptWork = this.remaining;
  }

  /** Adds the next `count` tokens of the prompt, which is longer. */
  prefill(request: RequestState, count: number): Promise<void> {
    const from = this.sequence.length;
    return this.sequence.prefill(request.tokens(from, from + count));
  }

  /** Draws the next token; the first time, what is left of the prompt is processed on the way. */
  async next(request: RequestState): Promise<Drawn> {
    const { seed } = request.prepared.sampling;
    this.#iterator ??= this.sequence.generate(
      request.tokens(this.sequence.length),
      // A generation that begins again after a fault goes on with other numbers, not with the same.
      optionsOf(request, (seed + request.generatedTokens) >>> 0),
    );
    const { value, done } = await this.#iterator.next(request.lastToken);
    return done === true ? { tokens: [], ended: true } : { tokens: [value], ended: false };
  }

  /** Draws as many of the next tokens as were guessed rightly, and one more. */
  verify(request: RequestState, guesses: readonly number[]): Promise<Drawn> {
    const seed = mixed(request.prepared.sampling.seed, request.generatedTokens);
    const tokens = request.tokens(this.sequence.length);
    return this.sequence.verify(tokens, guesses, optionsOf(request, seed));
  }

  /** After a fault of a step: brings the KV back to what is known. */
  async restart(request: RequestState): Promise<void> {
    this.#iterator = undefined;
    const known = request.tokens(0, request.length - 1);
    await this.sequence.truncate(this.sequence.commonPrefix(known));
  }

  /** Ends the present request and keeps its KV. */
  async release(now: number): Promise<void> {
    const iterator = this.#iterator;
    const { request } = this;
    this.#iterator = undefined;
    this.request = undefined;
    this.lastUsed = now;
    await iterator?.return?.();
    // Right guesses after the end of the answer, by a stop text or a cancel.
    if (request) await this.sequence.truncate(request.length);
  }

  /** Forgets the KV, after a fault. */
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

/** Each check of guesses draws with numbers of its own, unlike those of the steps one by one. */
function mixed(seed: number, generatedTokens: number): number {
  return (Math.imul(seed ^ Math.imul(generatedTokens + 1, 0x9e3779b1), 0x85ebca6b) ^ 0x5bd1e995) >>> 0;
}
