/** Time as a dependency, so that code with timers can be tested on virtual time. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start. */
  now(): number;
  /** Milliseconds since the epoch; may jump when the system time is set. */
  wall(): number;
  /** Calls `callback` once after `ms` milliseconds, without keeping the process alive. Returns a function to cancel. */
  after(ms: number, callback: () => void): () => void;
}

/** Limit of setTimeout; longer delays overflow to 1 ms. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(ms, 0), MAX_TIMEOUT_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
