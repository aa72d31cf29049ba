import { classOf, networksOf, type AccountClass } from "../../core/principal.ts";
import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import { TokenBucket, type TokenRate } from "../../core/token-bucket.ts";

/** Size of a burst, in seconds of the rate. */
const BURST_SECONDS = 2;

/** Rate of all addresses of one network, as a multiple of that of one address. */
const NETWORK_FACTOR = 1;

/**
 * Rate of all accounts of a class, as a multiple of that of one account, and its burst in seconds. The bursts are
 * short, so that many accounts cannot fill the event loop at the same moment. A full budget grants one reply of any
 * size.
 */
const CLASS_RATES: Readonly<
  Record<AccountClass, { readonly factor: number; readonly burstSeconds: number }>
> = {
  authenticated: { factor: 4, burstSeconds: 0.5 },
  anonymous: { factor: 2, burstSeconds: 0.25 },
};

export interface ReplayBudgetOptions {
  /** Rate of one account. */
  readonly bytesPerSecond: number;
  /** Maximum number of accounts, and of networks, with a budget. Over it the least recently used budget is dropped. */
  readonly maxKeys: number;
  readonly clock: Clock;
}

/**
 * Budgets of replayed text, for which a request costs a client almost nothing. Each account, each network of addresses
 * and each of the two classes has a budget, so that many addresses together cannot keep the process busy either.
 */
export class ReplayBudgets {
  readonly #clock: Clock;
  readonly #accounts: BucketTable;
  readonly #networks: BucketTable;
  readonly #classes: Readonly<Record<AccountClass, TokenBucket>>;

  constructor({ bytesPerSecond, maxKeys, clock }: ReplayBudgetOptions) {
    const rate = (factor: number, burstSeconds = BURST_SECONDS): TokenRate => ({
      perSecond: factor * bytesPerSecond,
      burst: factor * bytesPerSecond * burstSeconds,
    });
    const ofClass = (kind: AccountClass): TokenBucket =>
      new TokenBucket(rate(CLASS_RATES[kind].factor, CLASS_RATES[kind].burstSeconds));
    this.#clock = clock;
    this.#accounts = new BucketTable(rate(1), maxKeys, clock);
    this.#networks = new BucketTable(rate(NETWORK_FACTOR), maxKeys, clock);
    this.#classes = {
      authenticated: ofClass("authenticated"),
      anonymous: ofClass("anonymous"),
    };
  }

  /** Number of budgets of accounts and networks that are not full. */
  get size(): number {
    return this.#accounts.size + this.#networks.size;
  }

  /**
   * Takes bytes. Returns 0 on success; otherwise takes nothing and returns the milliseconds until they are available.
   */
  take(accountKey: string, bytes: number): number {
    const [network] = networksOf(accountKey);
    const wait = Math.max(
      this.#accounts.waitFor(accountKey, bytes),
      network === undefined ? 0 : this.#networks.waitFor(network, bytes),
      this.#classes[classOf(accountKey)].waitFor(this.#clock.now(), bytes),
    );
    if (wait === 0) this.charge(accountKey, bytes);
    return wait;
  }

  /** Takes bytes that are sent in any case; the next ones have to wait for them. */
  charge(accountKey: string, bytes: number): void {
    if (bytes === 0) return;
    const [network] = networksOf(accountKey);
    this.#accounts.charge(accountKey, bytes);
    if (network !== undefined) this.#networks.charge(network, bytes);
    this.#classes[classOf(accountKey)].charge(this.#clock.now(), bytes);
  }
}
