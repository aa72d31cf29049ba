import { networksOf } from "../principal.ts";

/** A request that waits for its turn. Compared by identity. */
export interface Waiter {
  /** Account of the principal that is charged: `sub:<subject>` or `addr:<address>`. */
  readonly accountKey: string;
  readonly authenticated: boolean;
}

interface Place<T> {
  readonly waiter: T;
  readonly weight: number;
  readonly account: Tally<T>;
  older: Place<T> | undefined;
  younger: Place<T> | undefined;
}

/**
 * Weight of the waiting requests of an account, a network or a class of clients. The members of a network or class are
 * grouped by their weight, so that the largest one is found without a search.
 */
class Tally<T> {
  readonly key: string;
  readonly parent: Tally<T> | undefined;
  readonly members = new Map<string, Tally<T>>();
  /** Latest request of an account. */
  youngest: Place<T> | undefined;
  weight = 0;
  readonly #byWeight: Set<Tally<T>>[] = [];
  #largest = 0;

  constructor(key: string, parent?: Tally<T>) {
    this.key = key;
    this.parent = parent;
  }

  /** Weight of the largest member. */
  get largest(): number {
    return this.#largest;
  }

  member(key: string): Tally<T> {
    let member = this.members.get(key);
    if (!member) this.members.set(key, (member = new Tally(key, this)));
    return member;
  }

  /** Adds weight, or takes it away, here and in all groups that this one belongs to. */
  change(by: number): void {
    this.weight += by;
    this.parent?.regroup(this, this.weight - by);
    this.parent?.change(by);
  }

  /** One of the largest members, `preferred` if it is one of them. */
  largestMember(preferred: Tally<T> | undefined): Tally<T> | undefined {
    if (preferred && preferred.weight === this.#largest && preferred.parent === this) return preferred;
    return this.#byWeight[this.#largest]?.values().next().value;
  }

  regroup(member: Tally<T>, from: number): void {
    this.#byWeight[from]?.delete(member);
    if (member.weight === 0) this.members.delete(member.key);
    else (this.#byWeight[member.weight] ??= new Set()).add(member);
    if (member.weight > this.#largest) this.#largest = member.weight;
    while (this.#largest > 0 && !this.#byWeight[this.#largest]?.size) this.#largest--;
  }
}

/**
 * What the waiting requests of each principal take of something scarce, as integers. Finds the request to refuse: the
 * youngest one of the principal with the largest weight. Addresses of one network count as one principal first, and then
 * among themselves. An operation takes constant time and one step for each unit of its weight.
 */
export class WaitingWeights<T extends Waiter> {
  readonly #authenticated = new Tally<T>("authenticated");
  readonly #anonymous = new Tally<T>("anonymous");
  readonly #waiting = new Map<T, Place<T>>();

  /** Number of requests. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Weight of all requests of anonymous clients. */
  get anonymous(): number {
    return this.#anonymous.weight;
  }

  /** @param weight an integer ≥ 1 */
  add(waiter: T, weight: number): void {
    const account = this.#classOf(waiter).member(networkOf(waiter.accountKey)).member(waiter.accountKey);
    const place = { waiter, weight, account, older: account.youngest, younger: undefined };
    if (account.youngest) account.youngest.younger = place;
    account.youngest = place;
    this.#waiting.set(waiter, place);
    account.change(weight);
  }

  /** Removes a request. @returns whether it was there */
  remove(waiter: T): boolean {
    const place = this.#waiting.get(waiter);
    if (!place) return false;
    this.#waiting.delete(waiter);
    const { weight, account, older, younger } = place;
    if (older) older.younger = younger;
    if (younger) younger.older = older;
    else account.youngest = older;
    account.change(-weight);
    return true;
  }

  /**
   * Removes the youngest request of the largest principal in favour of `waiter`, which was added before.
   *
   * @param anonymousOnly whether only requests of anonymous clients may be removed
   * @returns the removed request, which is `waiter` itself when its principal is one of the largest
   */
  yieldTo(waiter: T, anonymousOnly = false): T {
    const account = this.#waiting.get(waiter)?.account;
    if (!account) return waiter;
    const network = (anonymousOnly ? this.#anonymous : this.#largestClass()).largestMember(account.parent);
    const largest = network?.largestMember(account);
    const loser = largest === account ? waiter : (largest?.youngest?.waiter ?? waiter);
    this.remove(loser);
    return loser;
  }

  #classOf({ authenticated }: T): Tally<T> {
    return authenticated ? this.#authenticated : this.#anonymous;
  }

  /** The class with the largest principal; of two equal ones, the anonymous class. */
  #largestClass(): Tally<T> {
    return this.#authenticated.largest > this.#anonymous.largest ? this.#authenticated : this.#anonymous;
  }
}

/** The widest network of an address, so that many addresses of one site count together; a subject is its own. */
function networkOf(accountKey: string): string {
  return networksOf(accountKey)[0] ?? accountKey;
}
