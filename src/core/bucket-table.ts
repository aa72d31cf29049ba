import type { Clock } from "./clock.ts";
import { TokenBucket, type TokenRate } from "./token-bucket.ts";

/** Entries checked with each new key: more than one, so that the table shrinks faster than it grows. */
const SWEPT_PER_ENTRY = 2;

/**
 * Token buckets by key. A full bucket equals a new one and is removed. At the maximum size the least recently used key
 * is evicted; it starts with a full bucket next time, so no key is refused because there are many others.
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

  /** Number of keys whose buckets are not full. */
  get size(): number {
    const now = this.#clock.now();
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(key);
    return this.#buckets.size;
  }

  /** As {@link TokenBucket.take}, from the bucket of `key`. */
  take(key: string, cost = 1): number {
    const now = this.#clock.now();
    return this.#bucket(key, now).take(now, cost);
  }

  /** As {@link TokenBucket.waitFor}, for the bucket of `key`. */
  waitFor(key: string, cost: number): number {
    return this.#buckets.get(key)?.waitFor(this.#clock.now(), cost) ?? 0;
  }

  /** As {@link TokenBucket.charge}, to the bucket of `key`. */
  charge(key: string, cost: number): void {
    const now = this.#clock.now();
    this.#bucket(key, now).charge(now, cost);
  }

  #bucket(key: string, now: number): TokenBucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      this.#sweep(now);
      bucket = new TokenBucket(this.#rate);
    } else {
      this.#buckets.delete(key);
    }
    this.#buckets.set(key, bucket);
    return bucket;
  }

  #sweep(now: number): void {
    let looked = 0;
    for (const [key, bucket] of this.#buckets) {
      if (this.#buckets.size >= this.#maxKeys || bucket.isFull(now)) this.#buckets.delete(key);
      if (++looked === SWEPT_PER_ENTRY) return;
    }
  }
}
