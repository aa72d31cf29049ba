/** Text that was released, and whether a stop text was found. */
export interface StopResult {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Ends a stream of text at the first stop text. No part of a stop text is released: when a piece ends with the
 * beginning of a stop text, that end is held back until later pieces complete the stop text or rule it out.
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

  /** Returns the text held back; call it when the stream ends without a stop text. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /**
   * Start of the stop text that ends first; −1 when there is none. Comparing ends instead of starts makes the result
   * independent of how the text is split into pieces.
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

  /** Length of the longest suffix of `text` that is the beginning of a stop text. */
  #heldLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      const maxLength = Math.min(stop.length - 1, text.length);
      for (let length = maxLength; length > longest; length--) {
        if (!text.endsWith(stop.slice(0, length))) continue;
        longest = length;
        break;
      }
    }
    return longest;
  }
}

/** The text up to the first stop text; all of it when it contains none. */
export function cutAtStop(text: string, stops: readonly string[]): string {
  const stopText = new StopText(stops);
  const { text: kept, stopped } = stopText.push(text);
  return stopped ? kept : kept + stopText.flush();
}
