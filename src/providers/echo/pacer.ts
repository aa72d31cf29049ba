import type { Clock } from "../../core/clock.ts";

/** One thing that is said at the pace. */
interface Pacing {
  /** `clock.now()` at which its next step is due. */
  dueAt: number;
  /** Returns whether there is another step. */
  readonly step: () => boolean;
}

/**
 * Calls steps at one pace, as many answers as there are with one timer. All have the same pace, so they come due about in
 * the order in which they had their last step, and a queue is enough.
 */
export class Pacer {
  readonly #ms: number;
  readonly #clock: Clock;
  /** In the order of their due times. */
  readonly #queue: Pacing[] = [];
  #timerSet = false;

  /** `ms` between two steps, > 0. */
  constructor(ms: number, clock: Clock) {
    this.#ms = ms;
    this.#clock = clock;
  }

  /** Calls `step` each `ms`, the first time after `ms`, as long as it returns true. */
  add(step: () => boolean): void {
    this.#queue.push({ dueAt: this.#clock.now() + this.#ms, step });
    this.#wait();
  }

  #wait(): void {
    const next = this.#queue[0];
    if (next === undefined || this.#timerSet) return;
    this.#timerSet = true;
    // A timer cuts fractions off and would come too early.
    this.#clock.after(Math.ceil(next.dueAt - this.#clock.now()), () => {
      this.#timerSet = false;
      try {
        this.#serve();
      } finally {
        this.#wait();
      }
    });
  }

  #serve(): void {
    const now = this.#clock.now();
    const queue = this.#queue;
    let served = 0;
    try {
      for (let next = queue[0]; next !== undefined && next.dueAt <= now; next = queue[served]) {
        served++;
        if (!next.step()) continue;
        // From the due time, so that late timers do not slow the pace.
        next.dueAt += this.#ms;
        this.#enqueue(next, served);
      }
    } finally {
      queue.splice(0, served);
    }
  }

  /** Nearly always at the end: only what is late is due before what was added meanwhile. */
  #enqueue(pacing: Pacing, served: number): void {
    const queue = this.#queue;
    let at = queue.length;
    while (at > served && (queue[at - 1] as Pacing).dueAt > pacing.dueAt) at--;
    if (at === queue.length) queue.push(pacing);
    else queue.splice(at, 0, pacing);
  }
}
