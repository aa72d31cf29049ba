/** How the engine is started again after a death. All times in milliseconds. */
export interface RestartPolicyOptions {
  /** Delay after the first early death; doubles with each further one. */
  readonly firstDelayMs: number;
  readonly longestDelayMs: number;
  /** A life that was shorter is an early death. */
  readonly earlyMs: number;
  /** This many early deaths in a row are a crash loop. */
  readonly earlyLimit: number;
  /** Delay in a crash loop. */
  readonly degradedDelayMs: number;
}

export const defaultRestartPolicy: RestartPolicyOptions = {
  firstDelayMs: 100,
  longestDelayMs: 10_000,
  earlyMs: 60_000,
  earlyLimit: 5,
  degradedDelayMs: 60_000,
};

/** Counts early deaths. Pure. */
export class RestartPolicy {
  readonly #options: RestartPolicyOptions;
  #early = 0;

  constructor(options: RestartPolicyOptions = defaultRestartPolicy) {
    this.#options = options;
  }

  /** Whether the engine has died early so often in a row that starting it seems of no use. */
  get degraded(): boolean {
    return this.#early >= this.#options.earlyLimit;
  }

  /** The engine died after `lifeMs`. @returns the delay before the next start. */
  died(lifeMs: number): number {
    const { firstDelayMs, longestDelayMs, earlyMs, degradedDelayMs } = this.#options;
    this.#early = lifeMs < earlyMs ? this.#early + 1 : 0;
    if (this.degraded) return degradedDelayMs;
    return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.max(0, this.#early - 1));
  }
}
