import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import type { LimitName } from "../../core/limits.ts";
import type { TokenRate } from "../../core/token-bucket.ts";

export interface AddressLimitOptions {
  /** Sockets of one address at a time. */
  readonly maxConnections: number;
  /** New sockets of one address in a minute; as many may come at once. */
  readonly upgradesPerMinute: number;
  readonly clock: Clock;
}

/** Why an address must wait. */
export interface AddressRefusal {
  readonly limit: Extract<LimitName, "address_connections" | "upgrade_rate">;
  readonly retryAfterMs: number;
  /** It does not heed refusals: not even the upgrade is worth its cost. */
  readonly flood: boolean;
}

/** Addresses whose rates are remembered: past it the one unused for longest starts anew. */
const MAX_ADDRESSES = 100_000;

/** A place becomes free when somebody leaves: a guess. */
const FULL_RETRY_MS = 5000;

/** Sockets and upgrades by address. Everything is counted by {@link accountKeyOf} of the address, IPv6 by its /64. */
export class AddressLimits {
  readonly #maxConnections: number;
  /** Only addresses with a socket are here, so their number is bounded by that of the sockets. */
  readonly #connections = new Map<string, number>();
  readonly #upgrades: BucketTable;
  /** Beside the upgrades: a page that reconnects too eagerly is still told so in a way that it can see. */
  readonly #refusals: BucketTable;

  constructor({ maxConnections, upgradesPerMinute, clock }: AddressLimitOptions) {
    this.#maxConnections = maxConnections;
    const rate: TokenRate = { perSecond: upgradesPerMinute / 60, burst: upgradesPerMinute };
    this.#upgrades = new BucketTable(rate, MAX_ADDRESSES, clock);
    this.#refusals = new BucketTable(rate, MAX_ADDRESSES, clock);
  }

  /** Addresses with a socket. */
  get size(): number {
    return this.#connections.size;
  }

  /** Addresses whose budget of upgrades or refusals is not full. */
  get budgets(): number {
    return this.#upgrades.size + this.#refusals.size;
  }

  /** Counts one upgrade of an address, whatever becomes of it; null when it may go on. */
  refusal(address: string): AddressRefusal | null {
    const wait = this.#upgrades.take(address);
    if (wait > 0) {
      const flood = this.#refusals.take(address) > 0;
      return { limit: "upgrade_rate", retryAfterMs: Math.ceil(wait), flood };
    }
    if ((this.#connections.get(address) ?? 0) < this.#maxConnections) return null;
    return { limit: "address_connections", retryAfterMs: FULL_RETRY_MS, flood: false };
  }

  /** A socket of the address was accepted. */
  opened(address: string): void {
    this.#connections.set(address, (this.#connections.get(address) ?? 0) + 1);
  }

  /** It is gone. */
  closed(address: string): void {
    const left = (this.#connections.get(address) ?? 0) - 1;
    if (left > 0) this.#connections.set(address, left);
    else this.#connections.delete(address);
  }
}
