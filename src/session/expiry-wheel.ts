import type { Clock } from "../core/clock.ts";

/** An item that expires at a point in time. */
export interface Expiring {
  /** Called once, when the time is reached. */
  expired(): void;
}

/**
 * Expires items at a second of wall time. Thousands of sockets share one timer: items are grouped in buckets by
 * second, and a bucket costs nothing until it is due.
 */
export class ExpiryWheel {
  readonly #clock: Clock;
  readonly #buckets = new Map<number, Set<Expiring>>();
  #ticking = false;
  #nextSecond = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `item.expired` within two seconds after `at` (seconds since the epoch). Returns the bucket's second, which
   * {@link remove} takes: a number needs less memory than one cancel function for each of thousands of sockets.
   */
  add(at: number, item: Expiring): number {
    const second = Math.max(Math.ceil(at), this.#second());
    let bucket = this.#buckets.get(second);
    if (bucket === undefined) this.#buckets.set(second, (bucket = new Set()));
    bucket.add(item);
    if (!this.#ticking) {
      this.#nextSecond = this.#second();
      this.#tickLater();
    }
    return second;
  }

  /** Removes an item; does nothing if it has expired. `second` is the result of {@link add}. */
  remove(second: number, item: Expiring): void {
    const bucket = this.#buckets.get(second);
    bucket?.delete(item);
    if (bucket?.size === 0) this.#buckets.delete(second);
  }

  #second(): number {
    return Math.floor(this.#clock.wall() / 1000);
  }

  #tickLater(): void {
    this.#ticking = true;
    this.#clock.after(1000, () => {
      this.#ticking = false;
      const now = this.#second();
      // After a large jump of the clock there are fewer buckets than seconds to check.
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
    // The bucket stays in the table meanwhile: `expired` may remove other items of it.
    for (const item of bucket ?? []) {
      bucket?.delete(item);
      item.expired();
    }
    this.#buckets.delete(second);
  }
}
