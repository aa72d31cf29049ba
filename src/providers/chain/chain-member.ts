import { reportOf, ServiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider, ProviderHealth } from "../provider.ts";
import { CircuitBreaker, type BreakerState } from "./circuit-breaker.ts";
import { Stopper, type StopSignal } from "../../core/stop-signal.ts";

/** A provider of a chain: running, or to be started when it is needed. */
export interface ChainLink {
  readonly name: ChatProvider["name"];
  /** Whether text sent to it leaves this machine. */
  readonly remote: boolean;
  /** Null until it is needed. */
  readonly provider: ChatProvider | null;
  /** @throws an Error; the message of a ServiceError is shown as the reason */
  start(): Promise<ChatProvider>;
}

export interface BreakerSettings {
  /** Failures in a row after which a provider is left alone. */
  readonly failures: number;
  /** Milliseconds until it is tried again. */
  readonly openMs: number;
}

export interface MemberDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly breaker: BreakerSettings;
}

/** Where a provider of the chain stands, for /readyz. */
export interface MemberStatus {
  readonly name: string;
  readonly state: ProviderHealth["state"];
  readonly breaker: BreakerState;
  /** For people; empty when ready. */
  readonly reason: string;
}

/** One provider of a chain with its breaker. Starts it when it is needed: a fallback to the local model holds no memory before. */
export class ChainMember {
  readonly name: ChatProvider["name"];
  readonly remote: boolean;
  readonly breaker: CircuitBreaker;
  readonly #link: ChainLink;
  readonly #deps: MemberDependencies;
  readonly #listeners = new Set<(health: ProviderHealth) => void>();
  #provider: ChatProvider | null = null;
  #starting: Promise<ChatProvider> | null = null;
  #closed = false;

  constructor(link: ChainLink, deps: MemberDependencies) {
    const { clock, metrics } = deps;
    this.name = link.name;
    this.remote = link.remote;
    this.#link = link;
    this.#deps = deps;
    const changed = (state: BreakerState): void => this.#breakerChanged(state);
    this.breaker = new CircuitBreaker({ ...deps.breaker, clock, changed });
    metrics.breakerState(this.name, "closed");
    if (link.provider !== null) this.#adopt(link.provider);
  }

  /** Null until it was started. */
  get provider(): ChatProvider | null {
    return this.#provider;
  }

  /** Whether it is not up yet, for the first time or again: then a request waits for it and not in its queue. */
  get startingUp(): boolean {
    return this.#provider === null || this.#ownHealth().state === "starting";
  }

  /** Whether a request would be answered by it now, as far as is known. */
  get ready(): boolean {
    return this.breaker.admits && this.#ownHealth().state === "ready";
  }

  health(): ProviderHealth {
    if (this.breaker.state !== "closed") return { state: "degraded", reason: this.#lastReason() };
    return this.#ownHealth();
  }

  status(): MemberStatus {
    return { name: this.name, ...this.health(), breaker: this.breaker.state };
  }

  onHealthChange(listener: (health: ProviderHealth) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws ProviderError `no_provider` when it cannot start; the signal's reason */
  async start(signal: StopSignal): Promise<ChatProvider> {
    if (this.#provider !== null) return this.#provider;
    this.#starting ??= this.#launch();
    return abortable(this.#starting, signal);
  }

  /** Starts it before it is needed. One that cannot start is left alone for a time, as if a request had found out. */
  async startEarly(): Promise<void> {
    const call = this.#provider === null ? this.breaker.enter() : null;
    if (call === null) return;
    try {
      await this.start(new Stopper());
    } catch (error) {
      call.failed(error as ProviderError, true);
    }
    call.left();
  }

  /** Why a request is not let through. */
  refusal(): ProviderError {
    const { lastError, waitMs } = this.breaker;
    const final = lastError instanceof ServiceError && !lastError.retryable;
    return new ProviderError(
      this.name,
      final ? lastError.code : "provider_unavailable",
      `The ${this.name} provider is left alone for now, since it failed: ${this.#lastReason()}`,
      { retryable: !final, retryAfterMs: Math.ceil(waitMs), cause: lastError },
    );
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#provider?.close();
  }

  async #launch(): Promise<ChatProvider> {
    const { logger, clock } = this.#deps;
    const begin = clock.now();
    try {
      const provider = await this.#link.start();
      if (this.#closed) await provider.close();
      else this.#adopt(provider);
      logger.info({ provider: this.name, ms: Math.round(clock.now() - begin) }, "a fallback was started");
      return provider;
    } catch (error) {
      logger.error({ provider: this.name, err: error }, "a fallback could not start and is skipped");
      const reason = error instanceof ServiceError ? error.message : "the log says more";
      const message = `The ${this.name} provider could not start: ${reason}`;
      throw new ProviderError(this.name, "no_provider", message, { cause: error });
    } finally {
      this.#starting = null;
    }
  }

  #adopt(provider: ChatProvider): void {
    this.#provider = provider;
    provider.onHealthChange?.(() => this.#emitHealth());
  }

  /** Of providers that watch themselves; of others only their answers tell, and those the breaker has. */
  #ownHealth(): ProviderHealth {
    const own = this.#provider?.onHealthChange ? this.#provider.health() : undefined;
    return own ?? { state: "ready", reason: "" };
  }

  #lastReason(): string {
    const { lastError } = this.breaker;
    return lastError === null ? "" : reportOf(lastError).message;
  }

  #breakerChanged(state: BreakerState): void {
    const { logger, metrics } = this.#deps;
    metrics.breakerState(this.name, state);
    if (state === "open") {
      logger.warn({ provider: this.name, reason: this.#lastReason() }, "a provider is left alone for a time");
    }
    if (state === "closed") logger.info({ provider: this.name }, "a provider answers again");
    this.#emitHealth();
  }

  #emitHealth(): void {
    const health = this.health();
    for (const listener of this.#listeners) listener(health);
  }
}

/** Waits for `work`, but not longer than for the signal. The work goes on for others. */
async function abortable<T>(work: Promise<T>, signal: StopSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
