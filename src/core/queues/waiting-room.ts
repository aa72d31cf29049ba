import { WaitingWeights, type Waiter } from "./waiting-weights.ts";

/** Share of the places that only authenticated clients can take. */
const AUTHENTICATED_RESERVE = 0.25;

/**
 * A bounded number of places for waiting requests, shared by all principals. When it is full, the principal with the
 * most waiting requests loses its youngest one. Addresses of one network count as one principal first, and then among
 * themselves. Anonymous clients together cannot take the places that are reserved for authenticated ones. All operations
 * take constant time. Does not determine the order of service.
 */
export class WaitingRoom<T extends Waiter> {
  readonly places: number;
  readonly #anonymousPlaces: number;
  readonly #waiting = new WaitingWeights<T>();

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
    const waiting = this.#waiting;
    waiting.add(waiter, 1);
    const crowded = !waiter.authenticated && waiting.anonymous > this.#anonymousPlaces;
    if (waiting.size <= this.places && !crowded) return undefined;
    return waiting.yieldTo(waiter, crowded);
  }

  /** Removes a request that no longer waits. @returns whether it had a place */
  leave(waiter: T): boolean {
    return this.#waiting.remove(waiter);
  }
}
