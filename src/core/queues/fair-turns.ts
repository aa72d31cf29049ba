import type { Waiter } from "./waiting-weights.ts";

/** Something that waits for its turn. */
export interface Turn extends Waiter {
  /** What its work takes, in any unit; above 0. */
  readonly cost: number;
}

/** Cost that an account is served in one round. An account with cheaper work has several turns. */
const ROUND_COST = 16_384;

/** Number of taken turns at which an account's list is cut, so that it does not grow while the account stays busy. */
const MAX_TAKEN = 1024;

/** Waiting turns of one account, oldest first. */
interface Account<T> {
  readonly turns: T[];
  /** Index of the oldest turn that was not taken. */
  next: number;
  /** What is left of this round; negative after a turn that cost more. */
  left: number;
}

/**
 * Order of service that is fair by cost. The authenticated clients and the anonymous ones share equally while both have
 * turns that wait, and within a class all accounts do. Turns of one account keep their order. Operations take constant
 * time, and one step for each {@link ROUND_COST} of a turn.
 */
export class FairTurns<T extends Turn> {
  readonly #authenticated = new Map<string, Account<T>>();
  readonly #anonymous = new Map<string, Account<T>>();
  /** Cost served to authenticated clients less that of anonymous ones, since both began to wait. */
  #lead = 0;
  #size = 0;

  /** Number of waiting turns. */
  get size(): number {
    return this.#size;
  }

  add(turn: T): void {
    const accounts = turn.authenticated ? this.#authenticated : this.#anonymous;
    const account = accounts.get(turn.accountKey);
    if (account === undefined) accounts.set(turn.accountKey, { turns: [turn], next: 0, left: ROUND_COST });
    else account.turns.push(turn);
    this.#size++;
  }

  /** Removes and returns the turn that is next; undefined if none waits. */
  take(): T | undefined {
    if (this.#size === 0) return undefined;
    const both = this.#authenticated.size > 0 && this.#anonymous.size > 0;
    if (!both) this.#lead = 0;
    const anonymous = both ? this.#lead > 0 : this.#authenticated.size === 0;
    const turn = takeOf(anonymous ? this.#anonymous : this.#authenticated);
    this.#lead += anonymous ? -turn.cost : turn.cost;
    this.#size--;
    return turn;
  }
}

/** Takes the next turn of the accounts of a class, which are in the order of their rounds. At least one must wait. */
function takeOf<T extends Turn>(accounts: Map<string, Account<T>>): T {
  for (;;) {
    const [key, account] = accounts.entries().next().value as [string, Account<T>];
    if (account.left <= 0) {
      account.left += ROUND_COST;
      accounts.delete(key);
      accounts.set(key, account);
      continue;
    }
    const turn = account.turns[account.next] as T;
    account.next++;
    account.left -= turn.cost;
    if (account.next === account.turns.length) accounts.delete(key);
    else if (account.next === MAX_TAKEN) {
      account.turns.splice(0, MAX_TAKEN);
      account.next = 0;
    }
    return turn;
  }
}
