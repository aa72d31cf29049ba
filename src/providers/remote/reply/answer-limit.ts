/**
 * Width of a token on average, more than in any common text. Measured with OpenAI's o200k: 4 to 6 in English and code, 6
 * in Markdown tables, 3 to 4 in Russian, Arabic and Hindi (up to twelve bytes), 3 in Chinese. A server that counts
 * correctly is therefore not cut before its own limit.
 */
const MAX_WIDTH_PER_TOKEN = 8;

/** First of the UTF-16 units of East Asian scripts and of surrogates, of which a token holds fewer than of letters. */
const FIRST_WIDE_UNIT = 0x2e80;

/** A piece of an answer within its limit. */
export interface CountedPiece {
  /** "" if the limit is reached. */
  readonly text: string;
  readonly tokens: number;
}

/** Width of a text: 1 for a letter, 2 for a Chinese character, 4 for an emoji. */
function widthOf(text: string): number {
  let width = text.length;
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) >= FIRST_WIDE_UNIT) width++;
  }
  return width;
}

/** The beginning of a text up to a width, in whole characters. */
function beginning(text: string, maxWidth: number): string {
  let end = 0;
  let width = 0;
  for (const character of text) {
    width += widthOf(character);
    if (width > maxWidth) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/**
 * Counts the tokens of an answer and ends it at `max_tokens`, because servers may ignore the limit. Each chunk counts as
 * at least one token, since most servers send one token a chunk, and a width of {@link MAX_WIDTH_PER_TOKEN} as another
 * one.
 */
export class AnswerLimit {
  readonly #maxTokens: number;
  #tokens = 0;
  #width = 0;
  #exceeded = false;

  /** @param maxTokens maximum tokens of the answer, ≥ 1 */
  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens;
  }

  /** Tokens of the answer so far; at most the limit. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Whether the server sent more than the limit. An answer of exactly the limit is whole. */
  get exceeded(): boolean {
    return this.#exceeded;
  }

  /** Counts a piece. @returns the piece, or the part of it within the limit */
  take(text: string): CountedPiece {
    if (text === "") return { text, tokens: 0 };
    const before = this.#tokens;
    if (before === this.#maxTokens) {
      this.#exceeded = true;
      return { text: "", tokens: 0 };
    }
    const room = this.#maxTokens * MAX_WIDTH_PER_TOKEN - this.#width;
    this.#width += widthOf(text);
    const tokens = Math.max(before + 1, Math.ceil(this.#width / MAX_WIDTH_PER_TOKEN));
    this.#tokens = Math.min(tokens, this.#maxTokens);
    if (tokens <= this.#maxTokens) return { text, tokens: tokens - before };
    this.#exceeded = true;
    return { text: beginning(text, room), tokens: this.#maxTokens - before };
  }
}
