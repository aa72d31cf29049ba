import type { Clock } from "../../src/core/clock.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Far from zero, so that no code takes a time for "not yet". */
const START_MS = 1_000_000;
const START_WALL_MS = 1_700_000_000_000;

/** Time that stands still until a test moves it. Timers fire in order of their time, and of their setting within it. */
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

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.size;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(ms, 0), order: this.#order++, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Moves on by `ms` and fires what is due, those set meanwhile included, without a turn for promises. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** Moves on by `ms`; before, after and between timers every promise that can settle does so. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    while (this.#fireNext(end)) await settle();
    this.#now = end;
    await settle();
  }

  /** Sets the wall clock forward or, below zero, back: an operator did it. */
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

/** Lets every promise that can settle without time do so, and what waits for the end of a turn of the loop. */
export async function settle(): Promise<void> {
  // What a first turn begins may end in a second one.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
