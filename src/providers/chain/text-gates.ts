/** A piece of text and its number of tokens. */
export interface Piece {
  readonly type: "text-delta";
  readonly text: string;
  readonly tokens: number;
}

/** Holds text of a provider back for a time. Text still held when the provider fails is dropped. */
export interface TextGate {
  /** Number of tokens of the held text. */
  readonly heldTokens: number;
  /** @returns text to pass on, or null */
  push(piece: Piece): Piece | null;
  /** Ends the answer. @returns the text that was still held, or null */
  end(): Piece | null;
}

/** Number of characters of a continuation that are held before the overlap is searched for. */
export const HELD_CHARACTERS = 200;
/** Minimum length of an overlap in characters. A shorter match may be a coincidence, such as " the". */
export const MIN_OVERLAP = 12;

/** Length of the longest suffix of `before` that is a prefix of `after`. */
export function overlap(before: string, after: string): number {
  for (let length = Math.min(before.length, after.length); length > 0; length--) {
    if (before.endsWith(after.slice(0, length))) return length;
  }
  return 0;
}

/** Removes the beginning of a continuation if it repeats the end of the text before it. */
export class OverlapGate implements TextGate {
  readonly #before: string;
  #held = "";
  #tokens = 0;
  #open = false;

  /** @param before the answer so far */
  constructor(before: string) {
    this.#before = before.slice(-HELD_CHARACTERS);
  }

  get heldTokens(): number {
    return this.#tokens;
  }

  push(piece: Piece): Piece | null {
    if (this.#open) return piece;
    this.#held += piece.text;
    this.#tokens += piece.tokens;
    return this.#held.length < HELD_CHARACTERS ? null : this.#release();
  }

  end(): Piece | null {
    return this.#open || (this.#held === "" && this.#tokens === 0) ? null : this.#release();
  }

  #release(): Piece {
    this.#open = true;
    const length = overlap(this.#before, this.#held);
    const text = length < MIN_OVERLAP ? this.#held : this.#held.slice(length);
    const tokens = this.#tokens;
    this.#held = "";
    this.#tokens = 0;
    return { type: "text-delta", text, tokens };
  }
}

/** Holds the text until the end: an answer with a schema is passed on as a whole or not at all. */
export class WholeGate implements TextGate {
  #held = "";
  #tokens = 0;

  get heldTokens(): number {
    return this.#tokens;
  }

  push(piece: Piece): null {
    this.#held += piece.text;
    this.#tokens += piece.tokens;
    return null;
  }

  end(): Piece | null {
    if (this.#held === "" && this.#tokens === 0) return null;
    const piece = { type: "text-delta", text: this.#held, tokens: this.#tokens } as const;
    this.#held = "";
    this.#tokens = 0;
    return piece;
  }
}
