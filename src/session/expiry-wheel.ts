import type { Clock } from "../core/clock.ts";

/** An item that expires at a point in time. */
export interface Expiring {
  /** Called once, when the time is reached. */
  expired(): void;
}

/** Interval between checks, in milliseconds. */
const TICK_MS = 1000;

/** Items that expire in one turn of the event loop. Thousands of tokens can be issued in the same second. */
const MAX_EXPIRED_PER_TURN = 500;

/**
 * Expires items at a second of wall time. Thousands of sockets share one timer: items are grouped in buckets by
 * second, and a bucket costs nothing until it is due.
 */
export class ExpiryWheel {
  readonly #clock: Clock;
  readonly #buckets = new Map<number, Set<Expiring>>();
  #ticking = false;
  #nextSecond = 0;
  /** Items that may still expire in this turn. */
  #left = 0;

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
      this.#tickIn(TICK_MS);
    }
    return second;
  }

  /** Removes an item; does nothing if it has expired. `second` is the result of {@link add}. */
  remove(second: number, item: Expiring): void {
    const bucket = this.#buckets.get(second);
    bucket?.delete(item);
    if (bucket?.size === 0) this.#buckets.delete(second);
  }

  /**
   * Replaces the time at which an item expires.
   *
   * @param second the result of {@link add} or of this method; null if the item was not added
   * @param at seconds since the epoch; undefined if the item no longer expires
   * @returns the bucket's second, or null
   */
  move(second: number | null, at: number | undefined, item: Expiring): number | null {
    if (second !== null) this.remove(second, item);
    return at === undefined ? null : this.add(at, item);
  }

  #second(): number {
    return Math.floor(this.#clock.wall() / 1000);
  }

  #tickIn(ms: number): void {
    this.#ticking = true;
    this.#clock.after(ms, () => {
      this.#ticking = false;
      this.#left = MAX_EXPIRED_PER_TURN;
      const isComplete = this.#fireUpTo(this.#second());
      if (this.#buckets.size > 0) this.#tickIn(isComplete ? TICK_MS : 0);
    });
  }

  /** Fires what is due at the second `now`. Returns false if some of it must wait for the next turn. */
  #fireUpTo(now: number): boolean {
    // After a large jump of the clock there are fewer buckets than seconds to check.
    if (now - this.#nextSecond > this.#buckets.size) {
      for (const second of this.#buckets.keys()) if (second <= now && !this.#fire(second)) return false;
    } else {
      for (; this.#nextSecond <= now; this.#nextSecond++) if (!this.#fire(this.#nextSecond)) return false;
    }
    this.#nextSecond = now;
    return true;
  }

  #fire(second: number): boolean {
    const bucket = this.#buckets.get(second);
    // The bucket stays in the table meanwhile: `expired` may remove other items of it.
    for (const item of bucket ?? []) {
      if (this.#left-- === 0) return false;
      bucket?.delete(item);
      item.expired();
    }
    this.#buckets.delete(second);
    return true;
  }
}
