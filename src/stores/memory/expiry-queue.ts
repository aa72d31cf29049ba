import type { Clock } from "../../core/clock.ts";

/** Interval between sweeps, in milliseconds. */
const SWEEP_MS = 1000;

/** Keys that expire in one turn of the event loop. Thousands of clients can leave in the same moment. */
const MAX_EXPIRED_PER_TURN = 500;

/**
 * Keys that expire a fixed time after they were set, or up to a second later. Many keys that are due at once are spread
 * over several turns of the event loop.
 */
export class ExpiryQueue {
  readonly #clock: Clock;
  readonly #expired: (key: string) => void;
  /** In the order in which they were set: keys of one queue have the same lifetime, or wait for one another. */
  readonly #times = new Map<string, number>();
  #sweeping = false;

  /** `expired` is called after the key was removed; it may set the key again. */
  constructor(clock: Clock, expired: (key: string) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  get size(): number {
    return this.#times.size;
  }

  /** Starts the lifetime of a key, again if it is in the queue. */
  set(key: string, lifetimeMs: number): void {
    this.#times.delete(key);
    this.#times.set(key, this.#clock.now() + lifetimeMs);
    if (!this.#sweeping) this.#sweepIn(SWEEP_MS);
  }

  delete(key: string): void {
    this.#times.delete(key);
  }

  #sweepIn(ms: number): void {
    this.#sweeping = true;
    this.#clock.after(ms, () => {
      const isComplete = this.#sweep();
      this.#sweeping = false;
      if (this.#times.size > 0) this.#sweepIn(isComplete ? SWEEP_MS : 0);
    });
  }

  /** Returns whether no more keys are due. */
  #sweep(): boolean {
    const now = this.#clock.now();
    let count = 0;
    for (const [key, at] of this.#times) {
      if (at > now) return true;
      if (++count > MAX_EXPIRED_PER_TURN) return false;
      this.#times.delete(key);
      this.#expired(key);
    }
    return true;
  }
}
