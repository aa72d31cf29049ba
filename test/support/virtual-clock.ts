import type { Clock } from "../../src/core/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Far from zero, so that code which uses 0 for "not yet" works as with a real clock. */
const START_MS = 1_000_000;
const START_WALL_MS = 1_700_000_000_000;

/** A clock that only advances when a test advances it. Timers fire in order of their time, then of their creation. */
export class VirtualClock implements Clock {
  #now = START_MS;
  #wallShift = START_WALL_MS - START_MS;
  #order = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#now + this.#wallShift;
  }

  /** Number of pending timers. */
  get pending(): number {
    return this.#timers.size;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Advances by `ms` and fires the due timers, including ones created meanwhile, without settling promises. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** Advances to the next timer and fires it, as one turn of the event loop. */
  fireOne(): void {
    this.#fireNext(Infinity);
  }

  /** Advances by `ms` without firing timers, as when the event loop is blocked. */
  jump(ms: number): void {
    this.#now += ms;
  }

  /** Advances by `ms`; settles promises before, after and between timers. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    while (this.#fireNext(end)) await settle();
    this.#now = end;
    await settle();
  }

  /** Sets the wall clock forward, or back if negative, as an operator may do. */
  shiftWall(ms: number): void {
    this.#wallShift += ms;
  }

  #fireNext(end: number): boolean {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) {
        next = timer;
      }
    }
    if (next === undefined) return false;
    this.#timers.delete(next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }
}

/** Waits until promises and `setImmediate` callbacks that need no timer have settled. */
export async function settle(): Promise<void> {
  // Work started in one turn of the loop may end in the next one.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
