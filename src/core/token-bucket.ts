/** How fast a bucket fills and how much it holds; shared by all buckets of a limit. */
export interface TokenRate {
  /** Tokens that come back in a second; > 0. */
  readonly perSecond: number;
  /** Tokens that may be taken at once from a full bucket; > 0. */
  readonly burst: number;
}

/**
 * One token bucket, kept as a single number: the time at which it will be full again (the generic cell rate
 * algorithm). A check allocates nothing, and no timer runs.
 */
export class TokenBucket {
  readonly #rate: TokenRate;
  #fullAt = -Infinity;

  constructor(rate: TokenRate) {
    this.#rate = rate;
  }

  /**
   * Takes `cost` tokens at the time `now` (milliseconds of a clock that never goes back). Returns 0 when they were there,
   * and else takes nothing and returns the milliseconds after which they will be. A cost above the burst is granted
   * by a full bucket, which then is in debt for the rest.
   */
  take(now: number, cost = 1): number {
    const { perSecond, burst } = this.#rate;
    const missing = Math.max(this.#fullAt - now, 0);
    const wait = missing - ((burst - Math.min(cost, burst)) * 1000) / perSecond;
    if (wait > 0) return wait;
    this.#fullAt = now + missing + (cost * 1000) / perSecond;
    return 0;
  }

  /** Whether nothing is missing, so that a new bucket would be as good. */
  isFull(now: number): boolean {
    return this.#fullAt <= now;
  }
}
