import type { Clock } from "../core/clock.ts";
import type { EnginePulse } from "../engine-wire/control.ts";

/** Interval between calls of {@link Watchdog.stalledMs}, in milliseconds. */
export const CHECK_MS = 1000;
/**
 * Number of step lengths without progress that count as a hang. The learned length varies, so there is a wide margin.
 */
const MAX_TICKS = 20;

/** Detects a hung engine by its pulses. One instance serves one run of the engine, from the time it is ready. */
export class Watchdog {
  readonly #stallMs: number;
  readonly #clock: Clock;
  #last: EnginePulse = { busy: false, moved: 0, tickMs: 0, longWork: false };
  #movedAt: number;
  #checkedAt: number;

  /** @param stallMs minimum time without progress that counts as a hang, in milliseconds */
  constructor(stallMs: number, clock: Clock) {
    this.#stallMs = stallMs;
    this.#clock = clock;
    this.#movedAt = clock.now();
    this.#checkedAt = this.#movedAt;
  }

  /** Records a pulse of the engine. */
  pulse(pulse: EnginePulse): void {
    // A pulse alone counts as progress of an idle engine. A busy one must also process something between two pulses.
    const stalled = pulse.busy && this.#last.busy && pulse.moved === this.#last.moved;
    if (!stalled || pulse.longWork || this.#last.longWork) this.#movedAt = this.#clock.now();
    this.#last = pulse;
  }

  /** Milliseconds without progress if the engine hangs, else undefined. */
  stalledMs(): number | undefined {
    const now = this.#clock.now();
    const late = now - this.#checkedAt - CHECK_MS;
    this.#checkedAt = now;
    // This process itself was suspended or starved, so pulses from that time are not read yet.
    if (late > 2 * CHECK_MS) this.#movedAt += late;
    if (this.#last.longWork) return undefined;
    const stalledMs = now - this.#movedAt;
    return stalledMs > Math.max(this.#stallMs, MAX_TICKS * this.#last.tickMs) ? stalledMs : undefined;
  }
}
