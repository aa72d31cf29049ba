/** Delays before the engine is restarted after an exit. All times in milliseconds. */
export interface RestartPolicyOptions {
  /** Delay after the first early exit; doubles with each further one. */
  readonly firstDelayMs: number;
  /** Upper bound of that delay. */
  readonly maxDelayMs: number;
  /** An exit is early when the engine ran for less than this. */
  readonly earlyMs: number;
  /** Number of consecutive early exits that count as a crash loop. */
  readonly earlyLimit: number;
  /** Delay in a crash loop. */
  readonly degradedDelayMs: number;
}

/** Delays in production. */
export const defaultRestartPolicy: RestartPolicyOptions = {
  firstDelayMs: 100,
  maxDelayMs: 10_000,
  earlyMs: 60_000,
  earlyLimit: 5,
  degradedDelayMs: 60_000,
};

/** Counts consecutive early exits and computes the delay before the next start. Pure. */
export class RestartPolicy {
  readonly #options: RestartPolicyOptions;
  #earlyExits = 0;

  constructor(options: RestartPolicyOptions = defaultRestartPolicy) {
    this.#options = options;
  }

  /** Whether the engine is in a crash loop. */
  get degraded(): boolean {
    return this.#earlyExits >= this.#options.earlyLimit;
  }

  /** Records an exit after `uptimeMs`. @returns the delay before the next start. */
  recordExit(uptimeMs: number): number {
    const { firstDelayMs, maxDelayMs, earlyMs, degradedDelayMs } = this.#options;
    this.#earlyExits = uptimeMs < earlyMs ? this.#earlyExits + 1 : 0;
    if (this.degraded) return degradedDelayMs;
    return Math.min(maxDelayMs, firstDelayMs * 2 ** Math.max(0, this.#earlyExits - 1));
  }
}
