import type { Clock } from "./clock.ts";
import { TokenBucket, type TokenRate } from "./token-bucket.ts";

/** Entries looked at with each new key: more than one, so that the table shrinks faster than it grows. */
const SWEPT_PER_ENTRY = 2;

/**
 * Token buckets by key. A bucket that is full again is as good as none and falls out. At the bound the key unused for
 * longest goes: its owner gets a full bucket back, and nobody is refused because others are many.
 */
export class BucketTable {
  readonly #rate: TokenRate;
  readonly #maxKeys: number;
  readonly #clock: Clock;
  /** Least recently used first. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: TokenRate, maxKeys: number, clock: Clock) {
    this.#rate = rate;
    this.#maxKeys = maxKeys;
    this.#clock = clock;
  }

  /** Keys whose buckets are not full. */
  get size(): number {
    const now = this.#clock.now();
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(key);
    return this.#buckets.size;
  }

  /** As {@link TokenBucket.take}, from the bucket of `key`. */
  take(key: string, cost = 1): number {
    const now = this.#clock.now();
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#sweep(now);
      bucket = new TokenBucket(this.#rate);
    } else {
      this.#buckets.delete(key);
    }
    this.#buckets.set(key, bucket);
    return bucket.take(now, cost);
  }

  #sweep(now: number): void {
    let looked = 0;
    for (const [key, bucket] of this.#buckets) {
      if (this.#buckets.size >= this.#maxKeys || bucket.isFull(now)) this.#buckets.delete(key);
      if (++looked === SWEPT_PER_ENTRY) return;
    }
  }
}
