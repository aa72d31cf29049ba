import type { Clock } from "../../core/clock.ts";

/** One answer that is emitted at the pace. */
interface Pacing {
  /** `clock.now()` at which the next step is due. */
  dueAt: number;
  /** Returns whether there is another step. */
  readonly step: () => boolean;
}

/**
 * Calls the steps of all answers at one pace, with a single timer. Since all have the same pace, they are due almost in
 * the order of their last steps, so a queue is sufficient.
 */
export class Pacer {
  readonly #ms: number;
  readonly #clock: Clock;
  /** Sorted by due time. */
  readonly #queue: Pacing[] = [];
  #timerSet = false;

  /** @param ms milliseconds between two steps, > 0 */
  constructor(ms: number, clock: Clock) {
    this.#ms = ms;
    this.#clock = clock;
  }

  /** Calls `step` every `ms` milliseconds, the first time after `ms`, until it returns false. */
  add(step: () => boolean): void {
    this.#queue.push({ dueAt: this.#clock.now() + this.#ms, step });
    this.#schedule();
  }

  #schedule(): void {
    const next = this.#queue[0];
    if (next === undefined || this.#timerSet) return;
    this.#timerSet = true;
    // Timers truncate fractions and would fire too early.
    this.#clock.after(Math.ceil(next.dueAt - this.#clock.now()), () => {
      this.#timerSet = false;
      try {
        this.#runDueSteps();
      } finally {
        this.#schedule();
      }
    });
  }

  #runDueSteps(): void {
    const now = this.#clock.now();
    const queue = this.#queue;
    let done = 0;
    try {
      for (let next = queue[0]; next !== undefined && next.dueAt <= now; next = queue[done]) {
        done++;
        if (!next.step()) continue;
        // Relative to the due time, so that late timers do not slow the pace down.
        next.dueAt += this.#ms;
        this.#enqueue(next, done);
      }
    } finally {
      queue.splice(0, done);
    }
  }

  /** Inserts by due time. Nearly always at the end, because only late answers are due before newly added ones. */
  #enqueue(pacing: Pacing, done: number): void {
    const queue = this.#queue;
    let at = queue.length;
    while (at > done && (queue[at - 1] as Pacing).dueAt > pacing.dueAt) at--;
    if (at === queue.length) queue.push(pacing);
    else queue.splice(at, 0, pacing);
  }
}
