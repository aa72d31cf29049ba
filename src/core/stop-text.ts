/** What a step lets through, and whether a stop text was met. */
export interface StopResult {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Ends a stream of text at the first of some stop texts, which is never let through, not even in part: text that ends
 * in the beginning of a stop text is held back until the next piece decides.
 */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";

  /** Empty stop texts are ignored. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  push(piece: string): StopResult {
    const text = this.#held + piece;
    const first = this.#firstStop(text);
    if (first >= 0) {
      this.#held = "";
      return { text: text.slice(0, first), stopped: true };
    }
    const keep = this.#heldLength(text);
    this.#held = keep > 0 ? text.slice(-keep) : "";
    return { text: keep > 0 ? text.slice(0, -keep) : text, stopped: false };
  }

  /** The stream ended by itself: what was held back belongs to it. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /**
   * Where the stop text begins that is complete first; −1 where there is none. By its end and not by its beginning, so
   * that the pieces in which a text comes do not matter.
   */
  #firstStop(text: string): number {
    let first = -1;
    let firstEnd = Number.POSITIVE_INFINITY;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      const end = at + stop.length;
      if (at < 0 || end > firstEnd || (end === firstEnd && at > first)) continue;
      first = at;
      firstEnd = end;
    }
    return first;
  }

  /** Length of the longest end of `text` that begins a stop text. */
  #heldLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      const most = Math.min(stop.length - 1, text.length);
      for (let length = most; length > longest; length--) {
        if (!text.endsWith(stop.slice(0, length))) continue;
        longest = length;
        break;
      }
    }
    return longest;
  }
}

/** A whole text up to the stop text that ends it; all of it where there is none. */
export function cutAtStop(text: string, stops: readonly string[]): string {
  const stopText = new StopText(stops);
  const { text: kept, stopped } = stopText.push(text);
  return stopped ? kept : kept + stopText.flush();
}
