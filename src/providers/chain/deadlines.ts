import type { Clock } from "../../core/clock.ts";
import { Stopper, type StopSignal } from "../../core/stop-signal.ts";
import { ProviderError } from "../provider-error.ts";

/** Deadlines of an answer, all in milliseconds, > 0. */
export interface Deadlines {
  /** From leaving the queue to the first text. */
  readonly firstTokenMs: number;
  /** Between two pieces of text. */
  readonly gapMs: number;
  /** The whole answer over all providers, time in queues excluded. */
  readonly totalMs: number;
}

/** Total time of one answer. Paused while the answer waits in a queue. */
export class AnswerTime {
  #leftMs: number;
  #since: number | null = null;

  constructor(totalMs: number) {
    this.#leftMs = totalMs;
  }

  /** Starts or resumes the time. No effect if it is running. */
  run(now: number): void {
    this.#since ??= now;
  }

  pause(now: number): void {
    if (this.#since === null) return;
    this.#leftMs -= now - this.#since;
    this.#since = null;
  }

  /** When the time is over, on the clock's scale; Infinity while paused. */
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
  /** Signal of the caller. */
  readonly caller: StopSignal;
}

/** Queued: no text is due. First: the first text is due. Gap: the next text is due. */
type Phase = "queued" | "first" | "gap";

/**
 * Enforces the deadlines of one try on one provider. `signal` aborts with `provider_timeout` when a deadline passes,
 * and also when the caller's signal aborts. A token only updates a timestamp, which a single timer checks.
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

  /** Expects the first text from now on, for a provider that is starting and has no queue yet. */
  expectText(): void {
    this.#enter("first");
  }

  queued(): void {
    this.#phase = "queued";
    this.#options.time.pause(this.#options.clock.now());
  }

  /** Reports that the request left the queue. */
  started(): void {
    this.#options.time.run(this.#options.clock.now());
    this.#enter("first");
  }

  /** Reports progress while the prompt is processed. Restarts the current deadline. */
  progress(): void {
    this.#options.time.run(this.#options.clock.now());
    this.#enter(this.#phase === "gap" ? "gap" : "first");
  }

  /** Reports a piece of text. */
  onText(): void {
    if (this.#phase === "gap") {
      this.#since = this.#options.clock.now();
      return;
    }
    this.#options.time.run(this.#options.clock.now());
    this.#enter("gap");
  }

  /** Ends the watch: stops the timer and removes the listener. */
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

  /** Sets the timer. One that fires before the deadline is set again. */
  #arm(): void {
    const due = this.#dueAt;
    if (due >= this.#timerAt) return;
    this.#stopTimer?.();
    this.#timerAt = due;
    this.#stopTimer = this.#options.clock.after(due - this.#options.clock.now(), () => {
      this.#stopTimer = null;
      this.#timerAt = Infinity;
      if (this.#options.clock.now() < this.#dueAt) this.#arm();
      else this.#stopper.abort(this.#timeoutError());
    });
  }

  #timeoutError(): ProviderError {
    const { provider, deadlines, time, clock } = this.#options;
    const what =
      clock.now() >= time.dueAt
        ? `did not finish the answer within ${deadlines.totalMs / 1000} s (AI_TIMEOUT_SECONDS)`
        : this.#phase === "first"
          ? `sent no text within ${deadlines.firstTokenMs / 1000} s (AI_FIRST_TOKEN_SECONDS)`
          : `stopped sending text for ${deadlines.gapMs / 1000} s in the middle of the answer (AI_TOKEN_GAP_SECONDS)`;
    return new ProviderError(provider, "provider_timeout", `The ${provider} provider ${what}.`);
  }
}
