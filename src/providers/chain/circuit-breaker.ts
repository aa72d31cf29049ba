import type { Clock } from "../../core/clock.ts";

export type BreakerState = "closed" | "open" | "half_open";

export interface BreakerOptions {
  /** Consecutive failures that open the breaker, ≥ 1. */
  readonly failures: number;
  /** Milliseconds for which the breaker stays open before it admits a probe. */
  readonly openMs: number;
  readonly clock: Clock;
  /** Called after each change of the state. */
  readonly onChange: (state: BreakerState) => void;
}

/** One request that the breaker admitted. Only its first outcome counts. */
export interface BreakerCall {
  /** Whether the provider has sent text. */
  readonly hasText: boolean;
  /** Reports that the first text was received. */
  sawText(): void;
  succeeded(): void;
  /** @param atOnce whether one such failure opens the breaker, because it affects every request (a rejected key) */
  failed(error: Error, atOnce: boolean): void;
  /** Reports an end that reveals nothing about the provider: a cancel, or a fault of the request itself. */
  left(): void;
}

/**
 * Keeps requests away from a failing provider. Closed: all requests pass, and consecutive failures are counted. Open:
 * no request passes. After `openMs` the next request is admitted as a probe, and its outcome closes the breaker or
 * keeps it open for another `openMs`. Pure except for its clock.
 */
export class CircuitBreaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = "closed";
  #failures = 0;
  #openedAt = 0;
  #lastError: Error | null = null;
  /** Whether the last failure occurred after text. Then only a whole answer closes the breaker. */
  #failedLate = false;
  /** Incremented by each opening and closing. Outcomes of requests from an earlier era are ignored. */
  #era = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** The last failure; null if nothing failed since the last success. */
  get lastError(): Error | null {
    return this.#lastError;
  }

  /** Whether {@link enter} would admit a request now. */
  get admits(): boolean {
    return this.#state === "closed" || (this.#state === "open" && this.waitMs === 0);
  }

  /** Milliseconds until a request is admitted; 0 if one is admitted now. While a probe runs, an estimate (`openMs`). */
  get waitMs(): number {
    if (this.#state === "closed") return 0;
    const { openMs, clock } = this.#options;
    const left = this.#openedAt + openMs - clock.now();
    return this.#state === "open" ? Math.max(0, left) : openMs;
  }

  /** Admits a request. Null if the request must use another provider. */
  enter(): BreakerCall | null {
    if (!this.admits) return null;
    if (this.#state === "open") this.#change("half_open");
    return new Call(this, this.#era);
  }

  /** @internal Called by {@link Call}. */
  note(outcome: "sawText" | "succeeded" | "left", era: number): void {
    if (era !== this.#era) return;
    const probe = this.#state === "half_open";
    if (outcome === "left") {
      // The probe revealed nothing, so the next request becomes the probe.
      if (probe) this.#change("open");
      return;
    }
    if (outcome === "sawText" && (!probe || this.#failedLate)) return;
    this.#failures = 0;
    this.#lastError = null;
    if (!probe) return;
    this.#era++;
    this.#change("closed");
  }

  /** @internal Called by {@link Call}. */
  noteFailure(error: Error, late: boolean, atOnce: boolean, era: number): void {
    if (era !== this.#era) return;
    const probe = this.#state === "half_open";
    // Requests that fail with the same error object were failed by one event, such as an engine crash. It counts once.
    if (!probe && error === this.#lastError) return;
    this.#failures++;
    this.#lastError = error;
    this.#failedLate = late;
    if (!probe && !atOnce && this.#failures < this.#options.failures) return;
    this.#openedAt = this.#options.clock.now();
    this.#era++;
    this.#change("open");
  }

  #change(state: BreakerState): void {
    this.#state = state;
    this.#options.onChange(state);
  }
}

class Call implements BreakerCall {
  readonly #breaker: CircuitBreaker;
  readonly #era: number;
  #hasText = false;
  #over = false;

  constructor(breaker: CircuitBreaker, era: number) {
    this.#breaker = breaker;
    this.#era = era;
  }

  get hasText(): boolean {
    return this.#hasText;
  }

  sawText(): void {
    if (this.#hasText) return;
    this.#hasText = true;
    this.#breaker.note("sawText", this.#era);
  }

  succeeded(): void {
    if (!this.#end()) return;
    this.#breaker.note("succeeded", this.#era);
  }

  failed(error: Error, atOnce: boolean): void {
    if (!this.#end()) return;
    this.#breaker.noteFailure(error, this.#hasText, atOnce, this.#era);
  }

  left(): void {
    if (!this.#end()) return;
    this.#breaker.note("left", this.#era);
  }

  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    return true;
  }
}
