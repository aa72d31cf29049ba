import type { Clock } from "../../core/clock.ts";
import { Stopper, type StopSignal } from "../../core/stop-signal.ts";
import { ProviderError } from "../provider-error.ts";

/** All in milliseconds, > 0. */
export interface Deadlines {
  /** From leaving the queue to the first text. */
  readonly firstTokenMs: number;
  /** Between two pieces of text. */
  readonly gapMs: number;
  /** The whole answer over all providers, without its time in queues. */
  readonly totalMs: number;
}

/** The total time of one answer. It stands still while the answer waits in a queue. */
export class AnswerTime {
  #leftMs: number;
  #since: number | null = null;

  constructor(totalMs: number) {
    this.#leftMs = totalMs;
  }

  /** Runs from now on, if it does not yet. */
  run(now: number): void {
    this.#since ??= now;
  }

  pause(now: number): void {
    if (this.#since === null) return;
    this.#leftMs -= now - this.#since;
    this.#since = null;
  }

  /** When it is over, on the clock's scale; Infinity while it stands still. */
  get dueAt(): number {
    return this.#since === null ? Infinity : this.#since + this.#leftMs;
  }
}

export interface WatchOptions {
  /** Name of the provider, for the error. */
  readonly provider: string;
  readonly deadlines: Deadlines;
  readonly time: AnswerTime;
  readonly clock: Clock;
  /** The caller's. */
  readonly caller: StopSignal;
}

/** Queued: no text is due. First: the first text is due. Gap: the next text is due. */
type Phase = "queued" | "first" | "gap";

/**
 * Holds one try on one provider to its deadlines: when one passes, `signal` aborts with `provider_timeout`. It aborts with
 * the caller's signal too. A token costs a look at the clock and no timer: the one timer looks when the last token came.
 */
export class Watch {
  readonly #options: WatchOptions;
  readonly #stopper = new Stopper();
  readonly #onAbort = (): void => this.#stopper.abort(this.#options.caller.reason);
  #phase: Phase = "queued";
  #since = 0;
  #stopTimer: (() => void) | null = null;
  #timerAt = Infinity;

  constructor(options: WatchOptions) {
    this.#options = options;
    options.caller.addEventListener("abort", this.#onAbort, { once: true });
    this.#arm();
  }

  get signal(): StopSignal {
    return this.#stopper;
  }

  /** A provider that is not up yet has no queue: from now on its first text is due. */
  expectText(): void {
    this.#enter("first");
  }

  queued(): void {
    this.#phase = "queued";
    this.#options.time.pause(this.#options.clock.now());
  }

  /** It has left the queue. */
  started(): void {
    this.#options.time.run(this.#options.clock.now());
    this.#enter("first");
  }

  /** A sign of life while the prompt is processed. */
  progress(): void {
    this.#options.time.run(this.#options.clock.now());
    this.#enter(this.#phase === "gap" ? "gap" : "first");
  }

  /** A piece of text has come. */
  onText(): void {
    if (this.#phase === "gap") {
      this.#since = this.#options.clock.now();
      return;
    }
    this.#options.time.run(this.#options.clock.now());
    this.#enter("gap");
  }

  /** The try is over. */
  close(): void {
    this.#stopTimer?.();
    this.#options.caller.removeEventListener("abort", this.#onAbort);
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = this.#options.clock.now();
    this.#arm();
  }

  get #dueAt(): number {
    const { deadlines, time } = this.#options;
    if (this.#phase === "queued") return time.dueAt;
    const limit = this.#phase === "first" ? deadlines.firstTokenMs : deadlines.gapMs;
    return Math.min(time.dueAt, this.#since + limit);
  }

  /** A timer that comes earlier than needed only looks again. */
  #arm(): void {
    const due = this.#dueAt;
    if (due >= this.#timerAt) return;
    this.#stopTimer?.();
    this.#timerAt = due;
    this.#stopTimer = this.#options.clock.after(due - this.#options.clock.now(), () => {
      this.#stopTimer = null;
      this.#timerAt = Infinity;
      if (this.#options.clock.now() < this.#dueAt) this.#arm();
      else this.#stopper.abort(this.#missed());
    });
  }

  #missed(): ProviderError {
    const { provider, deadlines, time, clock } = this.#options;
    const says =
      clock.now() >= time.dueAt
        ? `took longer than ${deadlines.totalMs / 1000} s for its answer (AI_TIMEOUT_SECONDS)`
        : this.#phase === "first"
          ? `gave no first text within ${deadlines.firstTokenMs / 1000} s (AI_FIRST_TOKEN_SECONDS)`
          : `fell silent for ${deadlines.gapMs / 1000} s in the middle of its answer (AI_TOKEN_GAP_SECONDS)`;
    return new ProviderError(provider, "provider_timeout", `The ${provider} provider ${says}.`);
  }
}
