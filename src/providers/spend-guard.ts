import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { Metrics } from "../core/metrics.ts";

/** Maximum tokens of remote providers per day from midnight UTC, prompts and answers together; 0: no limit. */
export interface SpendLimits {
  /** REMOTE_MAX_TOKENS_PER_DAY: all clients together. */
  readonly total: number;
  /** REMOTE_MAX_TOKENS_PER_DAY_CLIENT: each client. */
  readonly client: number;
  /** REMOTE_MAX_TOKENS_PER_DAY_ADDRESS: all anonymous clients of one address. */
  readonly address: number;
}

/** The accounts that a request is charged to. */
export interface Payer {
  /** Key of the client. */
  readonly client: string;
  /** Key of the address; undefined for a client with a token, whose limit does not depend on the address. */
  readonly address: string | undefined;
}

/** Tokens reserved for one call. */
export interface Reservation {
  /**
   * Replaces the reservation by the tokens that the call used, which may be more. Only the first call has an effect.
   * The reservation stays if the number cannot be one: an account that is not a number would have no limit.
   *
   * @param tokens used tokens of prompt and answer, ≥ 0
   */
  settle(tokens: number): void;
}

export interface SpendGuardOptions {
  readonly limits: SpendLimits;
  /** Share of the total that anonymous clients together can use, 0 to 1; default 1. */
  readonly anonymousShare?: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Maximum accounts of clients, and of addresses; default 50,000 each (about 37 MB if both are full). */
  readonly maxKeys?: number;
}

interface Account {
  used: number;
}

type LimitName = keyof SpendLimits;

/** An account that a call is charged to. */
interface Charge {
  readonly name: LimitName;
  readonly account: Account;
  /** Tokens; infinite where there is no limit. */
  readonly limit: number;
}

const DAY_MS = 86_400_000;
const DEFAULT_MAX_KEYS = 50_000;

const settingOf: Readonly<Record<LimitName, string>> = {
  total: "REMOTE_MAX_TOKENS_PER_DAY",
  client: "REMOTE_MAX_TOKENS_PER_DAY_CLIENT",
  address: "REMOTE_MAX_TOKENS_PER_DAY_ADDRESS",
};

const scopeOf: Readonly<Record<LimitName, string>> = {
  total: "of this service",
  client: "per client",
  address: "per address",
};

/** Formats a duration as `3 h 20 min` or `5 min`, rounded up. */
function duration(ms: number): string {
  const minutes = Math.max(1, Math.ceil(ms / 60_000));
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes} min` : `${hours} h ${minutes % 60} min`;
}

/** Accounts of one day by key. If full, the half that used the least is deleted, so heavy users stay limited. */
class Accounts {
  readonly #byKey = new Map<string, Account>();
  readonly #maxKeys: number;

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#byKey.size;
  }

  of(key: string): Account {
    const known = this.#byKey.get(key);
    if (known) return known;
    if (this.#byKey.size >= this.#maxKeys) this.#shrink();
    const account = { used: 0 };
    this.#byKey.set(key, account);
    return account;
  }

  clear(): void {
    this.#byKey.clear();
  }

  #shrink(): void {
    const byUse = [...this.#byKey].toSorted(([, a], [, b]) => a.used - b.used);
    for (const [key] of byUse.slice(0, Math.ceil(this.#maxKeys / 2))) this.#byKey.delete(key);
  }
}

/**
 * Limits the tokens spent at remote providers, for instance while the local model is down. Tokens are reserved before a
 * call and settled after it. Counts are kept in memory and are lost on a restart.
 */
export class SpendGuard {
  readonly #limits: SpendLimits;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #clients: Accounts;
  readonly #addresses: Accounts;
  readonly #anonymousShare: number;
  #total: Account = { used: 0 };
  /** The part of the total that anonymous clients have used. */
  #anonymous: Account = { used: 0 };
  #day: number;

  constructor({ limits, anonymousShare = 1, clock, metrics, maxKeys = DEFAULT_MAX_KEYS }: SpendGuardOptions) {
    this.#limits = limits;
    this.#anonymousShare = anonymousShare;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#clients = new Accounts(maxKeys);
    this.#addresses = new Accounts(maxKeys);
    this.#day = Math.floor(clock.wall() / DAY_MS);
    metrics.gauge(
      "remote_tokens_today",
      "Tokens of remote providers since midnight UTC, including reservations",
      () => this.usedToday(),
    );
    metrics.gauge(
      "remote_spenders",
      "Clients and addresses with an account of remote tokens",
      () => this.keys,
    );
  }

  /** Tokens used since midnight UTC, including reservations. */
  usedToday(): number {
    this.#startNewDay();
    return this.#total.used;
  }

  /** Number of clients and addresses with an account. */
  get keys(): number {
    return this.#clients.size + this.#addresses.size;
  }

  /**
   * Reserves tokens for a call.
   *
   * @param tokens maximum that the call may use: prompt and longest answer
   * @throws ServiceError `spend_limit` if a limit would be exceeded; retryable after midnight UTC
   */
  reserve(payer: Payer, tokens: number): Reservation {
    this.#startNewDay();
    const charges = this.#chargesOf(payer);
    for (const { name, account, limit } of charges) {
      if (account.used + tokens > limit) throw this.#refusal(name, account.used, tokens);
    }
    for (const { account } of charges) account.used += tokens;
    let open = true;
    return {
      settle: (actual) => {
        if (!open) return;
        open = false;
        if (!Number.isFinite(actual) || actual < 0) return;
        // Accounts of a past day are not reachable any more, so settling them does not affect the new day.
        for (const { account } of charges) account.used = Math.max(0, account.used + actual - tokens);
      },
    };
  }

  #chargesOf({ client, address }: Payer): readonly Charge[] {
    const { client: ofClient, address: ofAddress } = this.#limits;
    const total = this.#limits.total > 0 ? this.#limits.total : Number.POSITIVE_INFINITY;
    const charges: Charge[] = [{ name: "total", account: this.#total, limit: total }];
    if (ofClient > 0) charges.push({ name: "client", account: this.#clients.of(client), limit: ofClient });
    if (address === undefined) return charges;
    if (total < Number.POSITIVE_INFINITY) {
      // A share of 0 is a limit of 0.
      charges.push({ name: "total", account: this.#anonymous, limit: total * this.#anonymousShare });
    }
    if (ofAddress > 0)
      charges.push({ name: "address", account: this.#addresses.of(address), limit: ofAddress });
    return charges;
  }

  /** Resets the accounts on a new day. A clock set back over midnight does not start the day a second time. */
  #startNewDay(): void {
    const day = Math.floor(this.#clock.wall() / DAY_MS);
    if (day === this.#day || day === this.#day - 1) return;
    this.#day = day;
    this.#total = { used: 0 };
    this.#anonymous = { used: 0 };
    this.#clients.clear();
    this.#addresses.clear();
  }

  #refusal(name: LimitName, used: number, tokens: number): ServiceError {
    this.#metrics.spendRefused(name);
    const retryAfterMs = (this.#day + 1) * DAY_MS - this.#clock.wall();
    const left = Math.max(0, this.#limits[name] - used);
    // The rest of the total is not shown, because it would reveal the use of other clients.
    const detail = name === "total" ? "" : `: it may take ${tokens} tokens and ${left} are left`;
    const what = `This message would exceed the daily limit ${scopeOf[name]} for tokens of remote providers${detail}`;
    const reset = `The limit resets at 00:00 UTC, in ${duration(retryAfterMs)}.`;
    return new ServiceError("spend_limit", `${what} (${settingOf[name]}). ${reset}`, {
      retryAfterMs,
      clientMessage: `${what}. ${reset}`,
    });
  }
}
