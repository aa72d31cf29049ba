/** So many breaches of a rate within the window close the socket with 4429. */
const MAX_BREACHES = 20;
const WINDOW_MS = 10_000;

/** Tells a client that runs into a rate now and then from one that does not heed it. */
export class BreachCounter {
  /** Times of the last breaches, oldest first; at most {@link MAX_BREACHES}. */
  #times: number[] = [];

  /** Counts a breach at the time `now`; true when it is one too many. */
  isLast(now: number): boolean {
    this.#times.push(now);
    if (this.#times.length < MAX_BREACHES) return false;
    const oldest = this.#times.shift() as number;
    return now - oldest <= WINDOW_MS;
  }
}
