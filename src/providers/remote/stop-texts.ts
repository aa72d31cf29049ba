/**
 * Finds texts that end an answer in a stream of pieces. What might be the beginning of one is held back until the next
 * piece decides.
 */
export class StopTexts {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** Takes the next piece; returns what is certainly part of the answer, and whether a stop text ended it. */
  push(piece: string): { readonly text: string; readonly hit: boolean } {
    if (this.#stops.length === 0) return { text: piece, hit: false };
    const all = this.#held + piece;
    const at = this.#stops.reduce((first, stop) => {
      const index = all.indexOf(stop);
      return index !== -1 && (first === -1 || index < first) ? index : first;
    }, -1);
    if (at !== -1) {
      this.#held = "";
      return { text: all.slice(0, at), hit: true };
    }
    const held = this.#longestBeginning(all);
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), hit: false };
  }

  /** What was held back: it was no stop text after all, since the answer is over. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  #longestBeginning(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (!text.endsWith(stop.slice(0, length))) continue;
        longest = length;
        break;
      }
    }
    return longest;
  }
}
