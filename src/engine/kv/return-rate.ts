import { LruCache } from "../../core/lru-cache.ts";

/** Displaced conversations that are tracked: about the users of a busy hour on a small machine. */
const MAX_REMEMBERED = 4096;
/** Weight of a displacement relative to the next one: about the last fifty count. */
const DECAY = 0.98;
/** Returns assumed at the start, because the first displaced conversations have had no time to return. */
const ASSUMED_RETURNS = 4;

/**
 * Share of conversations that send another request after losing their slot, learned from the latest ones. It does not
 * depend on whether their KV was stored, so the rate recovers as soon as users begin to return. Pure.
 */
export class ReturnRate {
  readonly #displaced = new LruCache<string, true>(MAX_REMEMBERED);
  #left = 0;
  #returned = 0;

  /** Records that a conversation has lost its slot. */
  recordDisplacement(key: string): void {
    this.#displaced.set(key, true);
    this.#left = this.#left * DECAY + 1;
    this.#returned *= DECAY;
  }

  /** Records a request of a conversation. */
  recordRequest(key: string): void {
    if (this.#displaced.delete(key)) this.#returned++;
  }

  /** Greater than 0, at most 1. */
  get value(): number {
    return Math.min(1, (this.#returned + ASSUMED_RETURNS) / (this.#left + ASSUMED_RETURNS));
  }
}
