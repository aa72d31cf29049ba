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
 * Turns tokens into text of whole characters: tokens that end inside a character are held until it is complete. What
 * can never become one (the model drew stray bytes) is let through as U+FFFD.
 */
export class WholeCharacters {
  private readonly detokenize: Detokenize;
  private pending: number[] = [];
  private preceding: readonly number[];

  /** `preceding`: the last tokens of the prompt. */
  constructor(detokenize: Detokenize, preceding: readonly number[]) {
    this.detokenize = detokenize;
    this.preceding = preceding.slice(-PRECEDING);
  }

  push(token: number): WholeText {
    this.pending.push(token);
    const text = this.detokenize(this.pending, this.preceding);
    if (text.endsWith(REPLACEMENT) && this.pending.length < LONGEST_CHARACTER) return { text: "", tokens: 0 };
    return this.release(text);
  }

  /** The stream ended: what is held goes out as it is. */
  flush(): WholeText {
    if (this.pending.length === 0) return { text: "", tokens: 0 };
    return this.release(this.detokenize(this.pending, this.preceding));
  }

  private release(text: string): WholeText {
    const tokens = this.pending.length;
    this.preceding = [...this.preceding, ...this.pending].slice(-PRECEDING);
    this.pending = [];
    return { text, tokens };
  }
}
