/**
 * Returns the text of tokens. `preceding`: the tokens of the same text before them. Without these, the text begins with
 * the first token, and a tokenizer that puts a blank before each text (SentencePiece) removes it from that token.
 */
export type Detokenize = (tokens: readonly number[], preceding: readonly number[]) => string;

const REPLACEMENT = "\uFFFD";
/** A UTF-8 character has at most four bytes and a token at least one, so a character ends after four tokens. */
const MAX_CHARACTER_TOKENS = 4;
/** Preceding tokens that are passed to the detokenizer. */
const PRECEDING_TOKENS = 4;

export interface WholeText {
  readonly text: string;
  /** Number of tokens of the text. */
  readonly tokens: number;
}

/**
 * Turns tokens into text of whole characters. An incomplete character at the end is held until it is complete. Bytes
 * that cannot become a character, which a model may draw, are released as U+FFFD.
 */
export class WholeCharacters {
  readonly #detokenize: Detokenize;
  #preceding: readonly number[];
  /** Tokens since the last point at which no character was incomplete. */
  #pending: number[] = [];
  /** Length of the part of their text that is already released, in UTF-16 units. */
  #released = 0;
  /** Tokens not yet counted in any released text. */
  #unreported = 0;
  /** Latest tokens that completed no character. */
  #stalled = 0;

  /** @param preceding tokens before the first one, if they belong to the same text; else none */
  constructor(detokenize: Detokenize, preceding: readonly number[]) {
    this.#detokenize = detokenize;
    this.#preceding = preceding.slice(-PRECEDING_TOKENS);
  }

  /** Adds a token. @returns the text that is now complete; it may be empty. */
  push(token: number): WholeText {
    this.#pending.push(token);
    this.#unreported++;
    const text = this.#detokenize(this.#pending, this.#preceding);
    let whole = text.length;
    while (whole > 0 && text[whole - 1] === REPLACEMENT) whole--;
    this.#stalled = whole > this.#released ? 0 : this.#stalled + 1;
    // The first token may be that blank alone. Only one blank is removed, so the next token must not be the first again.
    const onlyBlank = text === "" && this.#preceding.length === 0 && this.#stalled < MAX_CHARACTER_TOKENS;
    if (onlyBlank) return this.#report("", 0);
    if (whole === text.length || this.#stalled >= MAX_CHARACTER_TOKENS) return this.#release(text);
    return this.#report(text.slice(this.#released, whole), whole);
  }

  /** Releases the held text as it is, at the end of the stream. */
  flush(): WholeText {
    return this.#release(this.#pending.length > 0 ? this.#detokenize(this.#pending, this.#preceding) : "");
  }

  #release(text: string): WholeText {
    const whole = this.#report(text.slice(this.#released), 0);
    this.#preceding = [...this.#preceding, ...this.#pending].slice(-PRECEDING_TOKENS);
    this.#pending = [];
    this.#stalled = 0;
    return whole;
  }

  #report(text: string, released: number): WholeText {
    const tokens = text === "" ? 0 : this.#unreported;
    if (text !== "") this.#unreported = 0;
    this.#released = released;
    return { text, tokens };
  }
}
