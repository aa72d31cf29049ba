import { networksOf } from "../principal.ts";

/** A request that waits for its turn. Compared by identity. */
export interface Waiter {
  /** Account of the principal that is charged: `sub:<subject>` or `addr:<address>`. */
  readonly accountKey: string;
  readonly authenticated: boolean;
}

/** Share of the places that only authenticated clients can take. */
const AUTHENTICATED_RESERVE = 0.25;

interface Place<T> {
  readonly waiter: T;
  readonly account: Tally<T>;
  older: Place<T> | undefined;
  younger: Place<T> | undefined;
}

/**
 * Number of waiting requests of an account, a network or a class of clients. The members of a network or class are
 * grouped by their number, so that the largest one is found without a search.
 */
class Tally<T> {
  readonly key: string;
  readonly parent: Tally<T> | undefined;
  readonly members = new Map<string, Tally<T>>();
  /** Latest request of an account. */
  youngest: Place<T> | undefined;
  size = 0;
  readonly #bySize: Set<Tally<T>>[] = [];
  #largest = 0;

  constructor(key: string, parent?: Tally<T>) {
    this.key = key;
    this.parent = parent;
  }

  /** Size of the largest member. */
  get largest(): number {
    return this.#largest;
  }

  member(key: string): Tally<T> {
    let member = this.members.get(key);
    if (!member) this.members.set(key, (member = new Tally(key, this)));
    return member;
  }

  /** Counts one request more or less, here and in all groups that this one belongs to. */
  change(by: 1 | -1): void {
    this.size += by;
    this.parent?.regroup(this, this.size - by);
    this.parent?.change(by);
  }

  /** One of the largest members, `favourite` if it is one of them. */
  largestMember(favourite: Tally<T> | undefined): Tally<T> | undefined {
    if (favourite && favourite.size === this.#largest && favourite.parent === this) return favourite;
    return this.#bySize[this.#largest]?.values().next().value;
  }

  regroup(member: Tally<T>, from: number): void {
    this.#bySize[from]?.delete(member);
    if (member.size === 0) this.members.delete(member.key);
    else (this.#bySize[member.size] ??= new Set()).add(member);
    if (member.size > this.#largest) this.#largest = member.size;
    while (this.#largest > 0 && !this.#bySize[this.#largest]?.size) this.#largest--;
  }
}

/**
 * A bounded number of places for waiting requests, shared by all principals. When it is full, the principal with the
 * most waiting requests loses its youngest one. Addresses of one network count as one principal first, and then among
 * themselves. Anonymous clients together cannot take the places that are reserved for
 * authenticated ones. All operations take constant time. Does not determine the order of service.
 */
export class WaitingRoom<T extends Waiter> {
  readonly places: number;
  readonly #anonymousPlaces: number;
  readonly #authenticated = new Tally<T>("authenticated");
  readonly #anonymous = new Tally<T>("anonymous");
  readonly #waiting = new Map<T, Place<T>>();

  /** @param places maximum number of waiting requests; a quarter of them is reserved for authenticated clients */
  constructor(places: number) {
    this.places = places;
    this.#anonymousPlaces = places - Math.floor(places * AUTHENTICATED_RESERVE);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Adds a request.
   *
   * @returns the request that has no place now: the new one when its principal has as many requests as any other, or
   *   a waiting one; undefined when there was room for all
   */
  enter(waiter: T): T | undefined {
    const account = this.#classOf(waiter).member(networkOf(waiter.accountKey)).member(waiter.accountKey);
    const place = { waiter, account, older: account.youngest, younger: undefined };
    if (account.youngest) account.youngest.younger = place;
    account.youngest = place;
    this.#waiting.set(waiter, place);
    account.change(1);
    const full = this.size > this.places;
    const crowded = !waiter.authenticated && this.#anonymous.size > this.#anonymousPlaces;
    if (!full && !crowded) return undefined;
    const loser = this.#loser(place, crowded ? this.#anonymous : this.#largestClass());
    this.leave(loser);
    return loser;
  }

  /**
   * Removes the youngest request of the largest principal to make room for a request that waits here but does not fit
   * for another reason.
   *
   * @returns the removed request, which is `waiter` itself when its principal is one of the largest
   */
  yieldTo(waiter: T): T {
    const place = this.#waiting.get(waiter);
    if (!place) return waiter;
    const loser = this.#loser(place, this.#largestClass());
    this.leave(loser);
    return loser;
  }

  /** Removes a request that no longer waits. @returns whether it had a place */
  leave(waiter: T): boolean {
    const place = this.#waiting.get(waiter);
    if (!place) return false;
    this.#waiting.delete(waiter);
    const { account, older, younger } = place;
    if (older) older.younger = younger;
    if (younger) younger.older = older;
    else account.youngest = older;
    account.change(-1);
    return true;
  }

  #classOf({ authenticated }: T): Tally<T> {
    return authenticated ? this.#authenticated : this.#anonymous;
  }

  /** The class with the largest principal; of two equal ones, the anonymous class. */
  #largestClass(): Tally<T> {
    return this.#authenticated.largest > this.#anonymous.largest ? this.#authenticated : this.#anonymous;
  }

  /** Descends to the largest account of a class. Among equals, the newcomer is the one that is refused. */
  #loser({ waiter, account }: Place<T>, group: Tally<T>): T {
    const network = group.largestMember(account.parent);
    const largest = network?.largestMember(account);
    if (largest === account) return waiter;
    return largest?.youngest?.waiter ?? waiter;
  }
}

/** The widest network of an address, so that many addresses of one site count together; a subject is its own. */
function networkOf(accountKey: string): string {
  return networksOf(accountKey)[0] ?? accountKey;
}
