import type { Clock } from "../core/clock.ts";

/**
 * Calls back at a second of wall time. Thousands of sockets share one timer: entries wait in buckets by second, and a
 * bucket costs nothing until its time.
 */
export class ExpiryWheel {
  readonly #clock: Clock;
  readonly #buckets = new Map<number, Set<() => void>>();
  #ticking = false;
  #nextSecond = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `expired` within two seconds after `at` (seconds since the epoch). The returned function cancels it. */
  add(at: number, expired: () => void): () => void {
    const second = Math.max(Math.ceil(at), this.#second());
    let bucket = this.#buckets.get(second);
    if (bucket === undefined) this.#buckets.set(second, (bucket = new Set()));
    bucket.add(expired);
    if (!this.#ticking) {
      this.#nextSecond = this.#second();
      this.#tickLater();
    }
    const own = bucket;
    return () => {
      own.delete(expired);
      if (own.size === 0 && this.#buckets.get(second) === own) this.#buckets.delete(second);
    };
  }

  #second(): number {
    return Math.floor(this.#clock.wall() / 1000);
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#clock.after(1000, () => {
      this.#ticking = false;
      const now = this.#second();
      // A clock that was set forward must not be walked second by second.
      if (now - this.#nextSecond > this.#buckets.size) this.#fireUpTo(now, [...this.#buckets.keys()]);
      else for (; this.#nextSecond <= now; this.#nextSecond++) this.#fire(this.#nextSecond);
      this.#nextSecond = now;
      if (this.#buckets.size > 0) this.#tickLater();
    });
  }

  #fireUpTo(now: number, seconds: readonly number[]): void {
    for (const second of seconds) if (second <= now) this.#fire(second);
  }

  #fire(second: number): void {
    const bucket = this.#buckets.get(second);
    this.#buckets.delete(second);
    for (const expired of bucket ?? []) expired();
  }
}
