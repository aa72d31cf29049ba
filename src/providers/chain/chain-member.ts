import { operatorReportOf, ServiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider, ProviderHealth } from "../provider.ts";
import { CircuitBreaker, type BreakerState } from "./circuit-breaker.ts";
import { Stopper, type StopSignal } from "../../core/stop-signal.ts";

/** A provider of a chain, either running or started on first use. */
export interface ChainLink {
  readonly name: ChatProvider["name"];
  /** Whether text sent to it leaves this machine. */
  readonly remote: boolean;
  /** Null if it is started on first use. */
  readonly provider: ChatProvider | null;
  /** @throws Error; the message of a ServiceError is shown as the reason */
  start(): Promise<ChatProvider>;
}

export interface BreakerSettings {
  /** Consecutive failures after which a provider is skipped. */
  readonly failures: number;
  /** Milliseconds until a skipped provider is tried again. */
  readonly openMs: number;
}

export interface MemberDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly breaker: BreakerSettings;
}

/** Status of a provider of the chain, for /readyz. */
export interface MemberStatus {
  readonly name: string;
  readonly state: ProviderHealth["state"];
  readonly breaker: BreakerState;
  /** Readable reason; empty if ready. */
  readonly reason: string;
}

/** One provider of a chain with its circuit breaker. Started on first use: an unused local fallback takes no memory. */
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
    const onChange = (state: BreakerState): void => this.#breakerChanged(state);
    this.breaker = new CircuitBreaker({ ...deps.breaker, clock, onChange });
    metrics.breakerState(this.name, "closed");
    if (link.provider !== null) this.#adopt(link.provider);
  }

  /** Null until it is started. */
  get provider(): ChatProvider | null {
    return this.#provider;
  }

  /**
   * Whether the provider is starting or restarting. A request then waits for the start, not in the provider's queue.
   */
  get startingUp(): boolean {
    return this.#provider === null || this.#ownHealth().state === "starting";
  }

  /** Whether a request would probably be answered now. */
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

  /** @throws ProviderError `no_provider` if it cannot start; the signal's reason */
  async start(signal: StopSignal): Promise<ChatProvider> {
    if (this.#provider !== null) return this.#provider;
    this.#starting ??= this.#launch();
    return abortable(this.#starting, signal);
  }

  /** Starts the provider before its first use. A failed start counts as a failed request for the circuit breaker. */
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

  /** The error for a request that the circuit breaker rejects. */
  refusal(): ProviderError {
    const { lastError, waitMs } = this.breaker;
    const final = lastError instanceof ServiceError && !lastError.retryable;
    return new ProviderError(
      this.name,
      final ? lastError.code : "provider_unavailable",
      `The ${this.name} provider is temporarily disabled after a failure: ${this.#lastReason()}`,
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
      logger.info({ provider: this.name, ms: Math.round(clock.now() - begin) }, "fallback provider started");
      return provider;
    } catch (error) {
      logger.error({ provider: this.name, err: error }, "fallback provider failed to start");
      const reason = error instanceof ServiceError ? error.message : "see the server log";
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

  /** Health reported by the provider itself. For a provider without health events, only the circuit breaker counts. */
  #ownHealth(): ProviderHealth {
    const own = this.#provider?.onHealthChange ? this.#provider.health() : undefined;
    return own ?? { state: "ready", reason: "" };
  }

  #lastReason(): string {
    const { lastError } = this.breaker;
    return lastError === null ? "" : operatorReportOf(lastError).message;
  }

  #breakerChanged(state: BreakerState): void {
    const { logger, metrics } = this.#deps;
    metrics.breakerState(this.name, state);
    if (state === "open") {
      logger.warn(
        { provider: this.name, reason: this.#lastReason() },
        "provider disabled by its circuit breaker",
      );
    }
    if (state === "closed") logger.info({ provider: this.name }, "provider enabled again");
    this.#emitHealth();
  }

  #emitHealth(): void {
    const health = this.health();
    for (const listener of this.#listeners) listener(health);
  }
}

/** Waits for `work` until the signal aborts. The work itself continues, since other callers may wait for it. */
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
