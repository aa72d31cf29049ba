/** A piece of text and how many tokens it took. */
export interface Piece {
  readonly type: "text-delta";
  readonly text: string;
  readonly tokens: number;
}

/** Holds text of a provider back for a time. What it still holds when the provider fails is dropped. */
export interface TextGate {
  /** Tokens that are held. */
  readonly heldTokens: number;
  /** @returns what may go on, or null. */
  push(piece: Piece): Piece | null;
  /** The answer is whole. @returns what was still held, or null. */
  end(): Piece | null;
}

/** So many characters of a continuation are held until the overlap is sought. */
export const HELD_CHARACTERS = 200;
/** A shorter match may be chance: " the" ends and begins many sentences. */
export const MIN_OVERLAP = 12;

/** Length of the longest end of `before` that `after` begins with. */
export function overlap(before: string, after: string): number {
  for (let length = Math.min(before.length, after.length); length > 0; length--) {
    if (before.endsWith(after.slice(0, length))) return length;
  }
  return 0;
}

/** Takes from the beginning of a continuation what repeats the end of the text before it. */
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
    return this.#open || this.#tokens === 0 ? null : this.#release();
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

/** Holds everything: an answer with a schema is whole or nothing. */
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
    if (this.#tokens === 0) return null;
    const piece = { type: "text-delta", text: this.#held, tokens: this.#tokens } as const;
    this.#held = "";
    this.#tokens = 0;
    return piece;
  }
}
