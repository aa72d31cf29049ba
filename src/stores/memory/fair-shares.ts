import { networksOf } from "../../core/principal.ts";

/** Maximum share of the free bytes for one account, so that one flood leaves room for others. */
const ACCOUNT_SHARE = 1 / 8;

/** The same for all accounts of one network. */
const NETWORK_SHARE = 1 / 4;

/**
 * Bytes that cannot be evicted, by account. One account may hold an eighth of the bytes that are free without its own,
 * and one network a quarter, so that some memory always remains for others.
 */
export class FairShares {
  readonly #budgetBytes: number;
  #bytes = 0;
  readonly #byKey = new Map<string, number>();

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Bytes of an account. */
  bytesOf(accountKey: string): number {
    return this.#byKey.get(accountKey) ?? 0;
  }

  /** Whether `bytes` more are within the shares of an account and its network. */
  fits(accountKey: string, bytes: number): boolean {
    const [network = accountKey] = networksOf(accountKey);
    return this.#isWithin(accountKey, bytes, ACCOUNT_SHARE) && this.#isWithin(network, bytes, NETWORK_SHARE);
  }

  /** Counts `delta` bytes more or less. */
  count(accountKey: string, delta: number): void {
    if (delta === 0) return;
    this.#bytes += delta;
    this.#add(accountKey, delta);
    const [network] = networksOf(accountKey);
    if (network !== undefined) this.#add(network, delta);
  }

  #add(key: string, delta: number): void {
    const left = (this.#byKey.get(key) ?? 0) + delta;
    if (left > 0) this.#byKey.set(key, left);
    else this.#byKey.delete(key);
  }

  #isWithin(key: string, bytes: number, share: number): boolean {
    const held = this.#byKey.get(key) ?? 0;
    return held + bytes <= (this.#budgetBytes - this.#bytes + held) * share;
  }
}
