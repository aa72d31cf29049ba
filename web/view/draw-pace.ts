/** Time between two draws, as a multiple of the time that the first of them took. */
const PAUSE_PER_DRAW = 3;

/**
 * Limits the share of time that drawing takes. A long block is drawn again as a whole while it grows, so the draws of a
 * very long one become rarer instead of blocking the page.
 */
export class DrawPace {
  #nextAt = 0;

  /** @param now - Milliseconds on any clock, the same for both methods. */
  mayDraw(now: number): boolean {
    return now >= this.#nextAt;
  }

  drew(begin: number, end: number): void {
    this.#nextAt = end + (end - begin) * PAUSE_PER_DRAW;
  }
}
