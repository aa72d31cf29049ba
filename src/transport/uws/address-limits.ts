import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import type { LimitName } from "../../core/limits.ts";
import { perMinute } from "../../core/token-bucket.ts";

/** Limits of one address. */
export interface AddressLimitOptions {
  /** Maximum number of simultaneous sockets of one address. */
  readonly maxConnections: number;
  /** Upgrade requests of one address per minute, and in one burst. */
  readonly upgradesPerMinute: number;
  readonly clock: Clock;
}

/** Why an upgrade is refused, and the milliseconds to wait. */
export interface AddressRefusal {
  readonly limit: Extract<LimitName, "address_connections" | "upgrade_rate">;
  readonly retryAfterMs: number;
  /**
   * Whether the limit of refusals is exceeded too. Such requests are rejected without an upgrade, since sending close
   * codes to a flood would cost too much.
   */
  readonly flood: boolean;
}

/** Maximum number of addresses with a budget. Over it the least recently used budget is dropped. */
const MAX_ADDRESSES = 100_000;

/** Milliseconds until another socket of the address has closed; an estimate. */
const FULL_RETRY_MS = 5000;

/** Counts sockets and upgrades by address. Addresses are account keys: IPv6 addresses are counted by their /64. */
export class AddressLimits {
  readonly #maxConnections: number;
  /** Sockets by address. Only addresses with a socket have an entry, so the sockets bound its size. */
  readonly #connections = new Map<string, number>();
  readonly #upgrades: BucketTable;
  /** Refusals that are sent as close codes, which a page can read, unlike the status of a failed upgrade. */
  readonly #refusals: BucketTable;

  constructor({ maxConnections, upgradesPerMinute, clock }: AddressLimitOptions) {
    this.#maxConnections = maxConnections;
    const rate = perMinute(upgradesPerMinute);
    this.#upgrades = new BucketTable(rate, MAX_ADDRESSES, clock);
    this.#refusals = new BucketTable(rate, MAX_ADDRESSES, clock);
  }

  /** Number of addresses with a socket. */
  get size(): number {
    return this.#connections.size;
  }

  /** Number of budgets, of upgrades or refusals, that are not full. */
  get budgets(): number {
    return this.#upgrades.size + this.#refusals.size;
  }

  /** Counts one upgrade request of an address. Returns null if it is within the limits. */
  refusal(address: string): AddressRefusal | null {
    const wait = this.#upgrades.take(address);
    if (wait > 0) {
      const flood = this.#refusals.take(address) > 0;
      return { limit: "upgrade_rate", retryAfterMs: Math.ceil(wait), flood };
    }
    if ((this.#connections.get(address) ?? 0) < this.#maxConnections) return null;
    return { limit: "address_connections", retryAfterMs: FULL_RETRY_MS, flood: false };
  }

  /** Counts an accepted socket of the address. */
  opened(address: string): void {
    this.#connections.set(address, (this.#connections.get(address) ?? 0) + 1);
  }

  /** Counts a closed socket of the address. */
  closed(address: string): void {
    const left = (this.#connections.get(address) ?? 0) - 1;
    if (left > 0) this.#connections.set(address, left);
    else this.#connections.delete(address);
  }
}
