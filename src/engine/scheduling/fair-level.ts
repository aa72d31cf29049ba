/** Service record of one principal, or of one client of a principal. */
export class Account {
  readonly key: string;
  /** Order of arrival; breaks ties. */
  readonly joined: number;
  /** Tokens served divided by the weight. Starts at the lowest counter of the accounts that are present. */
  counter = 0;
  weight = 1;
  /** Requests that wait or run, including background jobs. */
  present = 0;
  /** Requests that wait, without background jobs. */
  waiting = 0;
  /** Requests that hold a slot, without background jobs. */
  held = 0;

  constructor(key: string, joined: number) {
    this.key = key;
    this.joined = joined;
  }
}

/** Whether `a` is served before `b`: the lower counter first, then fewer held slots, then the earlier arrival. */
export function isServedBefore(a: Account, b: Account): boolean {
  if (a.counter !== b.counter) return a.counter < b.counter;
  return a.held === b.held ? a.joined < b.joined : a.held < b.held;
}

/**
 * The accounts of one level: principals, or the clients of one principal. An account gains nothing by being absent:
 * when it begins to wait, its counter is raised to the lowest counter of the waiting accounts. It gains nothing by
 * leaving either: a counter ahead of the others is kept as a debt until they have caught up, or until no account is
 * left.
 */
export class FairLevel<A extends Account> {
  readonly #create: (key: string, joined: number) => A;
  readonly #maxDebts: number;
  readonly #accounts = new Map<string, A>();
  readonly #debts = new Map<string, number>();
  #joins = 0;

  constructor(create: (key: string, joined: number) => A, maxDebts: number) {
    this.#create = create;
    this.#maxDebts = maxDebts;
  }

  /** Accounts with a request that waits or runs. */
  values(): Iterable<A> {
    return this.#accounts.values();
  }

  get(key: string): A | undefined {
    return this.#accounts.get(key);
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** Number of debts kept for accounts that have left. */
  get debtCount(): number {
    return this.#debts.size;
  }

  /** Adds a request to the account of `key`. */
  enter(key: string): A {
    let account = this.#accounts.get(key);
    if (!account) {
      account = this.#create(key, ++this.#joins);
      account.counter = Math.max(this.#lowestCounter(false) ?? 0, this.#debts.get(key) ?? 0);
      this.#debts.delete(key);
      this.#accounts.set(key, account);
    }
    account.present++;
    return account;
  }

  /** Counts a request of this account as waiting. */
  wait(account: A): void {
    if (account.waiting === 0) account.counter = Math.max(account.counter, this.#lowestCounter(true) ?? 0);
    account.waiting++;
  }

  /** Removes a finished request from this account. */
  leave(account: A): void {
    account.present--;
    if (account.present > 0) return;
    this.#accounts.delete(account.key);
    const lowest = this.#lowestCounter(false);
    if (lowest === undefined) this.#debts.clear();
    else if (account.counter > lowest) this.#keepDebt(account, lowest);
  }

  #keepDebt({ key, counter }: A, lowest: number): void {
    this.#debts.set(key, counter);
    if (this.#debts.size <= this.#maxDebts) return;
    for (const [other, debt] of this.#debts) if (debt <= lowest) this.#debts.delete(other);
    for (const oldest of this.#debts.keys()) {
      if (this.#debts.size <= this.#maxDebts) return;
      this.#debts.delete(oldest);
    }
  }

  #lowestCounter(waitingOnly: boolean): number | undefined {
    let lowest: number | undefined;
    for (const { counter, waiting } of this.#accounts.values()) {
      if (waitingOnly && waiting === 0) continue;
      if (lowest === undefined || counter < lowest) lowest = counter;
    }
    return lowest;
  }
}
