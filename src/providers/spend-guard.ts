import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { Metrics } from "../core/metrics.ts";

/** Most tokens of remote providers in a day that begins at midnight UTC, prompts and answers together; 0: no limit. */
export interface SpendLimits {
  /** REMOTE_MAX_TOKENS_PER_DAY: of everybody together. */
  readonly total: number;
  /** REMOTE_MAX_TOKENS_PER_DAY_CLIENT: of one client. */
  readonly client: number;
  /** REMOTE_MAX_TOKENS_PER_DAY_ADDRESS: of one address of anonymous clients. */
  readonly address: number;
}

/** Who a request is counted for. */
export interface Payer {
  /** Key of the client. */
  readonly client: string;
  /** Key of the address; undefined for a client with a token, who has his own limit wherever he is. */
  readonly address: string | undefined;
}

/** Tokens set aside for one call. */
export interface Reservation {
  /**
   * Replaces the reserved number by what the call took; it may be more. Only the first call counts.
   *
   * @param tokens prompt and answer, >= 0
   */
  settle(tokens: number): void;
}

export interface SpendGuardOptions {
  readonly limits: SpendLimits;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Clients, and as many addresses, that are counted apart; default 50,000 (both full: about 37 MB). */
  readonly maxKeys?: number;
}

interface Account {
  used: number;
}

type LimitName = keyof SpendLimits;

const DAY_MS = 86_400_000;
const DEFAULT_MAX_KEYS = 50_000;

const settingOf: Readonly<Record<LimitName, string>> = {
  total: "REMOTE_MAX_TOKENS_PER_DAY",
  client: "REMOTE_MAX_TOKENS_PER_DAY_CLIENT",
  address: "REMOTE_MAX_TOKENS_PER_DAY_ADDRESS",
};

const ownerOf: Readonly<Record<LimitName, string>> = {
  total: "of this service",
  client: "of one client",
  address: "of one address",
};

/** `3 h 20 min`, `5 min`: rounded up, so that nobody comes too early. */
function duration(ms: number): string {
  const minutes = Math.max(1, Math.ceil(ms / 60_000));
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes} min` : `${hours} h ${minutes % 60} min`;
}

/** The accounts of one day by key. When it is full, the half that used least is forgotten: no heavy user escapes. */
class Accounts {
  readonly #byKey = new Map<string, Account>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#byKey.size;
  }

  of(key: string): Account {
    const known = this.#byKey.get(key);
    if (known) return known;
    if (this.#byKey.size >= this.#most) this.#shrink();
    const account = { used: 0 };
    this.#byKey.set(key, account);
    return account;
  }

  clear(): void {
    this.#byKey.clear();
  }

  #shrink(): void {
    const least = [...this.#byKey].toSorted(([, a], [, b]) => a.used - b.used);
    for (const [key] of least.slice(0, Math.ceil(this.#most / 2))) this.#byKey.delete(key);
  }
}

/**
 * Keeps remote providers from emptying an account, for instance while the local model is out of order: tokens are
 * reserved before a call and settled after it. Counts are kept in memory and begin anew with the process.
 */
export class SpendGuard {
  readonly #limits: SpendLimits;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #clients: Accounts;
  readonly #addresses: Accounts;
  #total: Account = { used: 0 };
  #day: number;

  constructor({ limits, clock, metrics, maxKeys = DEFAULT_MAX_KEYS }: SpendGuardOptions) {
    this.#limits = limits;
    this.#clock = clock;
    this.#metrics = metrics;
    this.#clients = new Accounts(maxKeys);
    this.#addresses = new Accounts(maxKeys);
    this.#day = Math.floor(clock.wall() / DAY_MS);
    metrics.gauge(
      "remote_tokens_today",
      "Tokens of remote providers since midnight UTC, reserved ones included",
      () => this.usedToday(),
    );
    metrics.gauge(
      "remote_spenders",
      "Clients and addresses whose remote tokens are counted",
      () => this.keys,
    );
  }

  /** Tokens since midnight UTC, reserved ones included. */
  usedToday(): number {
    this.#turnDay();
    return this.#total.used;
  }

  /** Clients and addresses that are counted apart at this moment. */
  get keys(): number {
    return this.#clients.size + this.#addresses.size;
  }

  /**
   * Sets tokens aside for a call.
   *
   * @param tokens what the call may take: prompt and the longest answer
   * @throws ServiceError `spend_limit`, with the time until midnight UTC, when one of the limits has no room for them
   */
  reserve(payer: Payer, tokens: number): Reservation {
    this.#turnDay();
    const accounts: [LimitName, Account][] = [["total", this.#total]];
    if (this.#limits.client > 0) accounts.push(["client", this.#clients.of(payer.client)]);
    if (this.#limits.address > 0 && payer.address !== undefined) {
      accounts.push(["address", this.#addresses.of(payer.address)]);
    }
    for (const [name, { used }] of accounts) {
      if (this.#limits[name] > 0 && used + tokens > this.#limits[name])
        throw this.#refusal(name, used, tokens);
    }
    for (const [, account] of accounts) account.used += tokens;
    let open = true;
    return {
      settle: (actual) => {
        if (!open) return;
        open = false;
        // Accounts of a day that is over are no longer reachable: what is settled there touches no new day.
        for (const [, account] of accounts) account.used = Math.max(0, account.used + actual - tokens);
      },
    };
  }

  /** A clock that was set back over midnight does not begin the day a second time. */
  #turnDay(): void {
    const day = Math.floor(this.#clock.wall() / DAY_MS);
    if (day === this.#day || day === this.#day - 1) return;
    this.#day = day;
    this.#total = { used: 0 };
    this.#clients.clear();
    this.#addresses.clear();
  }

  #refusal(name: LimitName, used: number, tokens: number): ServiceError {
    this.#metrics.spendRefused(name);
    const retryAfterMs = (this.#day + 1) * DAY_MS - this.#clock.wall();
    const left = Math.max(0, this.#limits[name] - used);
    // How much is left of the total is nothing that one client should learn of all others.
    const room = name === "total" ? "" : `: this one may take ${tokens} and ${left} are left`;
    return new ServiceError(
      "spend_limit",
      `The daily limit ${ownerOf[name]} for tokens of remote providers has no room for this message${room} ` +
        `(${settingOf[name]}). It begins anew at 00:00 UTC, in ${duration(retryAfterMs)}.`,
      { retryAfterMs },
    );
  }
}
