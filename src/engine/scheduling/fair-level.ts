/** What one principal, or one client of a principal, has been served. */
export class Account {
  readonly key: string;
  /** Order of arrival, for ties. */
  readonly joined: number;
  /** Tokens served over weight, beginning where the least served of those present stood. */
  counter = 0;
  weight = 1;
  /** Requests that wait or run, background jobs included. */
  present = 0;
  /** Requests that wait, without background jobs. */
  waiting = 0;
  /** Requests that have a slot, without background jobs. */
  held = 0;

  constructor(key: string, joined: number) {
    this.key = key;
    this.joined = joined;
  }
}

/** Whose turn comes first: who was served least, then who holds least, then who came first. */
export function beforeInTurn(a: Account, b: Account): boolean {
  if (a.counter !== b.counter) return a.counter < b.counter;
  return a.held === b.held ? a.joined < b.joined : a.held < b.held;
}

/**
 * The accounts of one level. Nobody saves up turns by staying away: who begins to wait is lifted to the least served of
 * those who wait. And nobody sheds what was served by leaving: a counter ahead of the others is kept until they have
 * caught up, or until nobody is left who could have wanted the time.
 */
export class FairLevel<A extends Account> {
  readonly #create: (key: string, joined: number) => A;
  readonly #mostDebts: number;
  readonly #accounts = new Map<string, A>();
  readonly #debts = new Map<string, number>();
  #joins = 0;

  constructor(create: (key: string, joined: number) => A, mostDebts: number) {
    this.#create = create;
    this.#mostDebts = mostDebts;
  }

  /** Those with anything that waits or runs. */
  values(): Iterable<A> {
    return this.#accounts.values();
  }

  get(key: string): A | undefined {
    return this.#accounts.get(key);
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** Counters of those who left and were ahead. */
  get debtCount(): number {
    return this.#debts.size;
  }

  /** One more request of `key`. */
  enter(key: string): A {
    let account = this.#accounts.get(key);
    if (!account) {
      account = this.#create(key, ++this.#joins);
      account.counter = Math.max(this.#least(false) ?? 0, this.#debts.get(key) ?? 0);
      this.#debts.delete(key);
      this.#accounts.set(key, account);
    }
    account.present++;
    return account;
  }

  /** A request of this account begins to wait. */
  wait(account: A): void {
    if (account.waiting === 0) account.counter = Math.max(account.counter, this.#least(true) ?? 0);
    account.waiting++;
  }

  /** A request of this account is over. */
  leave(account: A): void {
    account.present--;
    if (account.present > 0) return;
    this.#accounts.delete(account.key);
    const least = this.#least(false);
    if (least === undefined) this.#debts.clear();
    else if (account.counter > least) this.#remember(account, least);
  }

  #remember({ key, counter }: A, least: number): void {
    this.#debts.set(key, counter);
    if (this.#debts.size <= this.#mostDebts) return;
    for (const [other, debt] of this.#debts) if (debt <= least) this.#debts.delete(other);
    for (const oldest of this.#debts.keys()) {
      if (this.#debts.size <= this.#mostDebts) return;
      this.#debts.delete(oldest);
    }
  }

  #least(waiting: boolean): number | undefined {
    let least: number | undefined;
    for (const { counter, waiting: count } of this.#accounts.values()) {
      if (waiting && count === 0) continue;
      if (least === undefined || counter < least) least = counter;
    }
    return least;
  }
}
