/** Refill rate and capacity, shared by all buckets of a limit. */
export interface TokenRate {
  /** Tokens refilled per second; > 0. */
  readonly perSecond: number;
  /** Capacity: tokens that can be taken at once from a full bucket; > 0. */
  readonly burst: number;
}

/** The rate of a limit per minute, all of which may be used at once. */
export function perMinute(count: number): TokenRate {
  return { perSecond: count / 60, burst: count };
}

/**
 * One token bucket, stored as a single number: the time at which it will be full again (generic cell rate algorithm).
 * It needs no timer, and a check allocates nothing.
 */
export class TokenBucket {
  readonly #rate: TokenRate;
  #fullAt = -Infinity;

  constructor(rate: TokenRate) {
    this.#rate = rate;
  }

  /**
   * Takes `cost` tokens at the time `now` (milliseconds of a monotonic clock). Returns 0 on success; otherwise takes
   * nothing and returns the milliseconds until the tokens are available. A full bucket grants a cost above its capacity
   * and goes into debt for the rest.
   */
  take(now: number, cost = 1): number {
    const wait = this.waitFor(now, cost);
    if (wait > 0) return wait;
    this.charge(now, cost);
    return 0;
  }

  /** Milliseconds until `cost` tokens are available; 0 if they are now. Takes nothing. */
  waitFor(now: number, cost: number): number {
    const { perSecond, burst } = this.#rate;
    const missing = Math.max(this.#fullAt - now, 0);
    return Math.max(0, missing - ((burst - Math.min(cost, burst)) * 1000) / perSecond);
  }

  /** Takes `cost` tokens in any case. If they are not available, later calls have to wait longer. */
  charge(now: number, cost: number): void {
    this.#fullAt = Math.max(this.#fullAt, now) + (cost * 1000) / this.#rate.perSecond;
  }

  /** Whether the bucket is full, and so equal to a new one. */
  isFull(now: number): boolean {
    return this.#fullAt <= now;
  }
}
