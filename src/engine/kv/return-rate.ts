import { LruCache } from "../../core/lru-cache.ts";

// Of those that left first; as many as a busy hour's users on a small machine.
const REMEMBERED = 4096;
// What a conversation that leaves now weighs beside the one before it: about the last fifty count.
const DECAY = 0.98;
// As if so many had come back before anything was seen: the first to leave cannot have come back yet.
const TRUST = 4;

/**
 * How often conversations that lost their slot come back, learned from the latest ones. Whether what they left was stored makes no
 * difference, so the rate is known again as soon as people begin to return. Pure.
 */
export class ReturnRate {
  readonly #away = new LruCache<string, true>(REMEMBERED);
  #left = 0;
  #returned = 0;

  /** A conversation has lost its slot. */
  leave(key: string): void {
    this.#away.set(key, true);
    this.#left = this.#left * DECAY + 1;
    this.#returned *= DECAY;
  }

  /** A request of this conversation has come. */
  come(key: string): void {
    if (this.#away.delete(key)) this.#returned++;
  }

  /** Over 0, at most 1. */
  get value(): number {
    return Math.min(1, (this.#returned + TRUST) / (this.#left + TRUST));
  }
}
