import { SpecialToken, SpecialTokensText, type LlamaModel, type LlamaText } from "node-llama-cpp";
import { isExactCut, joinedPairs, pieceEnd, type Joined } from "./text-pieces.ts";

/** Work in pieces: yields the size of each piece in characters. */
export type Pieces<T> = Generator<number, T, void>;

/** Number of a control token's type in GGUF. Text never becomes one. */
const CONTROL_TYPE = 3;
/** Number of the type of tokens that are found in every text before it is split. */
const USER_DEFINED_TYPE = 4;
/** Text with all kinds of exact cuts, which are checked when the model is loaded. */
const SAMPLE = "The cat sat (on 12 mats), x=y[i]; see http://a.b/c?d. 你好，世界。 Ça va, été 3.14!";

/**
 * Turns text into tokens, in pieces that take a bounded time and a bounded stack. The tokens are those of the whole
 * text as long as it has a place to cut, such as the space after a word, every {@link MAX_PIECE_CHARS} characters.
 */
export class TextTokenizer {
  readonly #model: LlamaModel;
  readonly #joined: Joined;
  /** Length of the longest token in UTF-16 units: a text has at least its length divided by this in tokens. */
  readonly longestToken: number;

  constructor(model: LlamaModel) {
    this.#model = model;
    const texts = tokenTexts(model);
    this.longestToken = texts.reduce((longest, { length }) => Math.max(longest, length), 1);
    const joined = joinedPairs(texts);
    this.#joined = this.#cutsAreExact(joined) ? joined : () => true;
  }

  /** The tokens of a text, as `model.tokenize` returns them, without the space that some models put before a text. */
  *tokenize(text: string): Pieces<number[]> {
    const tokens: number[] = [];
    for (let from = 0; from < text.length;) {
      const end = pieceEnd(text, from, this.#joined);
      for (const token of this.#tokens(text.slice(from, end))) tokens.push(token);
      yield end - from;
      from = end;
    }
    return tokens;
  }

  /** Number of tokens of a text. Stops above `enough`; the result is then a lower bound. */
  *count(text: string, enough: number): Pieces<number> {
    if (text.length > enough * this.longestToken) return Math.ceil(text.length / this.longestToken);
    let count = 0;
    for (let from = 0; from < text.length && count <= enough;) {
      const end = pieceEnd(text, from, this.#joined);
      count += this.#tokens(text.slice(from, end)).length;
      yield end - from;
      from = end;
    }
    return count;
  }

  /** The tokens of a template with texts, as `text.tokenize` returns them. */
  *render(text: LlamaText): Pieces<number[]> {
    const tokens: number[] = [];
    let plain = "";
    for (const value of [...text.values, undefined]) {
      if (typeof value === "string") {
        plain += value;
        continue;
      }
      for (const token of yield* this.tokenize(plain)) tokens.push(token);
      plain = "";
      if (value instanceof SpecialToken) tokens.push(...value.tokenize(this.#model.tokenizer));
      else if (value instanceof SpecialTokensText)
        tokens.push(...value.tokenize(this.#model.tokenizer, tokens.length > 0));
    }
    return tokens;
  }

  #tokens(text: string): readonly number[] {
    return this.#model.tokenize(text, false, "trimLeadingSpace");
  }

  /** Tries each exact cut of the sample: a tokenizer may change text in a way that is not known here. */
  #cutsAreExact(joined: Joined): boolean {
    const whole = this.#tokens(SAMPLE).join(" ");
    for (let at = 1; at < SAMPLE.length; at++) {
      if (!isExactCut(SAMPLE, at, joined)) continue;
      const parts = [...this.#tokens(SAMPLE.slice(0, at)), ...this.#tokens(SAMPLE.slice(at))];
      if (parts.join(" ") !== whole) return false;
    }
    return true;
  }
}

/** Runs work to its end at once. */
export function whole<T>(pieces: Pieces<T>): T {
  for (;;) {
    const { done, value } = pieces.next();
    if (done) return value;
  }
}

/** The text of each token that plain text can become. */
function tokenTexts(model: LlamaModel): string[] {
  const { tokens, token_type: types, model: kind } = model.fileInfo.metadata.tokenizer.ggml;
  const typeOf = (token: number): number => Number(types?.[token]);
  const bytes = byteCharacters();
  return tokens.flatMap((text, token) => {
    if (typeOf(token) === CONTROL_TYPE) return [];
    if (kind !== "gpt2") return text.replaceAll("▁", " ");
    // These are stored as they are, not as characters that stand for bytes.
    if (typeOf(token) === USER_DEFINED_TYPE) return text;
    // Most tokens are ASCII, of which only the space has a character of its own.
    if (/^[!-~Ġ]*$/.test(text)) return text.replaceAll("Ġ", " ");
    return Buffer.from(Array.from(text, (character) => bytes.get(character) ?? 0xff)).toString();
  });
}

/** The characters that stand for bytes in vocabularies of byte-level BPE, as GPT-2 defines them. */
function byteCharacters(): ReadonlyMap<string, number> {
  const characters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    const printable =
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    characters.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return characters;
}
