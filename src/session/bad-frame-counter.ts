import type { Clock } from "../core/clock.ts";

const WINDOW_MS = 60_000;

/** Counts the bad frames of one socket in windows of a minute. */
export class BadFrameCounter {
  #windowStart = 0;
  #count = 0;

  /** True when this one is more than `limit` allows in a minute. */
  exceeds(limit: number, clock: Clock): boolean {
    const now = clock.now();
    if (this.#count === 0 || now - this.#windowStart >= WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    return ++this.#count > limit;
  }
}
