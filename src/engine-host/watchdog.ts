import type { Clock } from "../core/clock.ts";
import type { EnginePulse } from "../engine-wire/control.ts";

/** How often {@link Watchdog.stalledMs} is to be asked. */
export const CHECK_MS = 1000;
// Learned lengths of steps vary; a step this many times longer is no step any more.
const TICKS = 20;

/** Tells from an engine's pulses whether it hangs. For one life of the engine, from its ready on. */
export class Watchdog {
  readonly #stallMs: number;
  readonly #clock: Clock;
  #last: EnginePulse = { busy: false, moved: 0, tickMs: 0, longWork: false };
  #movedAt: number;
  #checkedAt: number;

  /** `stallMs`: the least time without any movement that counts. */
  constructor(stallMs: number, clock: Clock) {
    this.#stallMs = stallMs;
    this.#clock = clock;
    this.#movedAt = clock.now();
    this.#checkedAt = this.#movedAt;
  }

  pulse(pulse: EnginePulse): void {
    // An idle engine moves by its pulse alone; one that works, or has just begun to, must get somewhere.
    const stands = pulse.busy && this.#last.busy && pulse.moved === this.#last.moved;
    if (!stands || pulse.longWork || this.#last.longWork) this.#movedAt = this.#clock.now();
    this.#last = pulse;
  }

  /** How long nothing has moved, if that is too long. */
  stalledMs(): number | undefined {
    const now = this.#clock.now();
    const late = now - this.#checkedAt - CHECK_MS;
    this.#checkedAt = now;
    // This process was itself stopped or starved: the pulses of that time are still to be read.
    if (late > 2 * CHECK_MS) this.#movedAt += late;
    if (this.#last.longWork) return undefined;
    const still = now - this.#movedAt;
    return still > Math.max(this.#stallMs, TICKS * this.#last.tickMs) ? still : undefined;
  }
}
