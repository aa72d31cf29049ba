import type { Clock } from "../../core/clock.ts";

export type BreakerState = "closed" | "open" | "half_open";

export interface BreakerOptions {
  /** Failures in a row that open it, ≥ 1. */
  readonly failures: number;
  /** Milliseconds that it stays open before one request may try. */
  readonly openMs: number;
  readonly clock: Clock;
  /** Called after each change of the state. */
  readonly changed: (state: BreakerState) => void;
}

/** One request that the breaker let through. Exactly one of its outcomes counts, the first; later ones change nothing. */
export interface BreakerCall {
  /** Whether the provider has sent text. */
  readonly hasText: boolean;
  /** The first text has come. */
  sawText(): void;
  succeeded(): void;
  /** @param atOnce whether this failure is one of the whole provider, such as a refused key: one is enough */
  failed(error: Error, atOnce: boolean): void;
  /** It ended without a verdict: it was cancelled, or the fault was the request's own. */
  left(): void;
}

/**
 * Keeps requests from a provider that fails. Closed: all pass, and failures in a row are counted, whatever kind they are.
 * Open: none pass. After `openMs` the next request is the probe: alone it passes, and by its outcome the breaker closes or
 * stays open for another `openMs`. Pure but for its clock.
 */
export class CircuitBreaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = "closed";
  #failures = 0;
  #openedAt = 0;
  #lastError: Error | null = null;
  /** Whether the last failure came after text: then only a whole answer shows that the provider is well. */
  #failedLate = false;
  /** Rises with each opening and closing: what began before says nothing of the present. */
  #era = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Why it opened; null while it is closed and nothing failed. */
  get lastError(): Error | null {
    return this.#lastError;
  }

  /** Whether {@link enter} would let a request through now. */
  get admits(): boolean {
    return this.#state === "closed" || (this.#state === "open" && this.waitMs === 0);
  }

  /** Milliseconds until a request may try; 0 when one may now. While a probe runs, until the next one could. */
  get waitMs(): number {
    if (this.#state === "closed") return 0;
    const { openMs, clock } = this.#options;
    const left = this.#openedAt + openMs - clock.now();
    return this.#state === "open" ? Math.max(0, left) : openMs;
  }

  /** Null when the request must go elsewhere. */
  enter(): BreakerCall | null {
    if (!this.admits) return null;
    if (this.#state === "open") this.#change("half_open");
    return new Call(this, this.#era);
  }

  /** @internal of {@link Call} */
  note(outcome: "sawText" | "succeeded" | "left", era: number): void {
    if (era !== this.#era) return;
    const probe = this.#state === "half_open";
    if (outcome === "left") {
      // Nothing is known of the provider: the next request is the probe.
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

  /** @internal of {@link Call} */
  noteFailure(error: Error, late: boolean, atOnce: boolean, era: number): void {
    if (era !== this.#era) return;
    const probe = this.#state === "half_open";
    // One event that failed several requests, such as the engine's death, is one failure: they share its error.
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
    this.#options.changed(state);
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
