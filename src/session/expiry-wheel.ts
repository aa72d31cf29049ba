import type { Clock } from "../core/clock.ts";

/** Something that ends at a time. */
export interface Expiring {
  /** Its time has come; called once. */
  expired(): void;
}

/**
 * Calls back at a second of wall time. Thousands of sockets share one timer: entries wait in buckets by second, and a
 * bucket costs nothing until its time.
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
   * Calls `item.expired` within two seconds after `at` (seconds since the epoch). Returns the second under which it waits,
   * for {@link remove}; a function to cancel it would cost each of thousands of sockets its own.
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

  /** Takes an item back; harmless after it expired. `second` is what {@link add} returned. */
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
    // It stays in the table meanwhile, so that one that is called can take the others back.
    for (const item of bucket ?? []) {
      bucket?.delete(item);
      item.expired();
    }
    this.#buckets.delete(second);
  }
}
