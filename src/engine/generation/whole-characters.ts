/** Text of some tokens; `preceding` are the tokens before them (a tokenizer may trim a leading space without them). */
export type Detokenize = (tokens: readonly number[], preceding: readonly number[]) => string;

const REPLACEMENT = "\uFFFD";
// A character has at most four bytes, and a token at least one.
const LONGEST_CHARACTER = 4;
const PRECEDING = 4;

export interface WholeText {
  readonly text: string;
  /** Tokens that the text took. */
  readonly tokens: number;
}

/**
 * Turns tokens into text of whole characters: what ends inside a character is held until it is complete. What can
 * never become one (the model drew stray bytes) is let through as U+FFFD.
 */
export class WholeCharacters {
  readonly #detokenize: Detokenize;
  #preceding: readonly number[];
  /** Tokens since the last point at which no character was open. */
  #pending: number[] = [];
  /** How much of their text is out already. */
  #released = 0;
  #unreported = 0;
  /** Tokens that have not completed a character. */
  #stalled = 0;

  /** `preceding`: the last tokens of the prompt. */
  constructor(detokenize: Detokenize, preceding: readonly number[]) {
    this.#detokenize = detokenize;
    this.#preceding = preceding.slice(-PRECEDING);
  }

  push(token: number): WholeText {
    this.#pending.push(token);
    this.#unreported++;
    const text = this.#detokenize(this.#pending, this.#preceding);
    let whole = text.length;
    while (whole > 0 && text[whole - 1] === REPLACEMENT) whole--;
    this.#stalled = whole > this.#released ? 0 : this.#stalled + 1;
    if (whole === text.length || this.#stalled >= LONGEST_CHARACTER) return this.#release(text);
    return this.#report(text.slice(this.#released, whole), whole);
  }

  /** The stream ended: what is held goes out as it is. */
  flush(): WholeText {
    return this.#release(this.#pending.length > 0 ? this.#detokenize(this.#pending, this.#preceding) : "");
  }

  #release(text: string): WholeText {
    const whole = this.#report(text.slice(this.#released), 0);
    this.#preceding = [...this.#preceding, ...this.#pending].slice(-PRECEDING);
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
