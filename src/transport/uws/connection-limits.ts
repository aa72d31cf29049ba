import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import type { LimitName } from "../../core/limits.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import { perMinute, type TokenRate } from "../../core/token-bucket.ts";

/** Limits of connections and of their HTTP requests. */
export interface ConnectionLimitOptions {
  /** Maximum number of connections without a WebSocket. */
  readonly maxHttpConnections: number;
  /** Maximum number of all connections; undefined if the system's limit of descriptors is unknown. */
  readonly maxDescriptors: number | undefined;
  /** Rates of one address; null with RATE_LIMITS=off. */
  readonly rates: {
    readonly requestsPerMinute: number;
    readonly upgradesPerMinute: number;
  } | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Maximum number of addresses with a budget. Over it the least recently used budget is dropped. */
const MAX_ADDRESSES = 100_000;

/**
 * Share of the descriptors above which new sockets are refused. The rest is for the refusals, which need a connection,
 * and for HTTP requests such as probes.
 */
const SOCKET_SHARE = 0.95;

/** Share of the connections without a WebSocket that one address can open at once. */
const BURST_SHARE = 1 / 4;

/** Share of the descriptors below which the next shortage is logged again. */
const RELIEVED_SHARE = 0.8;

/**
 * Counts all connections of the process, and limits those that carry HTTP requests: their number in total, and their
 * rates by address.
 *
 * The library closes a connection after 10 seconds without a request and does not report which one it was. So the
 * number of open connections of an address is not known, but it is at most the number of connects and requests of the
 * address in the last seconds, which the rates limit.
 */
export class ConnectionLimits {
  readonly #options: ConnectionLimitOptions;
  readonly #connects: BucketTable | null;
  readonly #requests: BucketTable | null;
  #http = 0;
  #sockets = 0;
  #shortageLogged = false;

  constructor(options: ConnectionLimitOptions) {
    this.#options = options;
    const { rates, clock, metrics } = options;
    const table = (rate: TokenRate): BucketTable => new BucketTable(rate, MAX_ADDRESSES, clock);
    if (rates === null) {
      this.#connects = this.#requests = null;
    } else {
      // Each request and each upgrade can have a connection of its own, and so can each refusal of an upgrade.
      const connects = perMinute(rates.requestsPerMinute + 2 * rates.upgradesPerMinute);
      const maxBurst = Math.ceil(options.maxHttpConnections * BURST_SHARE);
      this.#connects = table({ ...connects, burst: Math.min(connects.burst, maxBurst) });
      this.#requests = table(perMinute(rates.requestsPerMinute));
    }
    metrics.gauge("http_connections", "Open connections without a WebSocket", () => this.#http);
  }

  /** Number of budgets that are not full. */
  get budgets(): number {
    return (this.#connects?.size ?? 0) + (this.#requests?.size ?? 0);
  }

  /** Number of open connections, with and without a WebSocket. */
  get open(): number {
    return this.#http + this.#sockets;
  }

  /** Whether so few descriptors are left that new WebSockets must be refused. */
  get isNearlyFull(): boolean {
    const { maxDescriptors } = this.#options;
    if (maxDescriptors === undefined || this.open < maxDescriptors * SOCKET_SHARE) return false;
    this.#logShortage(maxDescriptors);
    return true;
  }

  /**
   * Counts a new connection. Returns the limit that it exceeds, in which case it must be closed; null if none.
   *
   * @param address the account key of the TCP peer; null for a trusted proxy, which connects for many clients
   */
  connected(address: string | null): LimitName | null {
    const { maxHttpConnections, maxDescriptors = Infinity } = this.#options;
    this.#http++;
    if (this.open > maxDescriptors) {
      this.#logShortage(maxDescriptors);
      return "descriptors";
    }
    if (this.#http > maxHttpConnections) return "http_connections";
    if (address !== null && this.#connects !== null && this.#connects.take(address) > 0)
      return "http_connects";
    return null;
  }

  /** Counts a closed connection without a WebSocket. */
  disconnected(): void {
    this.#http--;
    this.#checkRelief();
  }

  /** A connection has become a WebSocket. */
  upgraded(): void {
    this.#http--;
    this.#sockets++;
  }

  /** Counts a closed WebSocket. */
  socketClosed(): void {
    this.#sockets--;
    this.#checkRelief();
  }

  /** Counts an HTTP request of an address. Returns the milliseconds to wait if it exceeds the rate, else 0. */
  requested(address: string): number {
    return this.#requests?.take(address) ?? 0;
  }

  #logShortage(maxDescriptors: number): void {
    if (this.#shortageLogged) return;
    this.#shortageLogged = true;
    this.#options.metrics.limitHit("descriptors");
    this.#options.logger.warn(
      { connections: this.open, maximum: maxDescriptors },
      "file descriptors are nearly used up: new connections are refused; raise the limit of open files (ulimit -n)",
    );
  }

  #checkRelief(): void {
    const { maxDescriptors } = this.#options;
    if (!this.#shortageLogged || maxDescriptors === undefined) return;
    if (this.open < maxDescriptors * RELIEVED_SHARE) this.#shortageLogged = false;
  }
}
