/** Pause after a draw, as a multiple of its duration. */
const PAUSE_PER_DRAW = 3;

/**
 * Limits the share of time that drawing takes. A block that grows is drawn again as a whole, so a very long one is
 * drawn less often instead of blocking the page.
 */
export class DrawPace {
  #nextAt = 0;

  /** @param now - Milliseconds on any clock, the same for both methods. */
  mayDraw(now: number): boolean {
    return now >= this.#nextAt;
  }

  /** Records a draw. */
  drew(begin: number, end: number): void {
    this.#nextAt = end + (end - begin) * PAUSE_PER_DRAW;
  }
}
