/**
 * UTF-8 bytes of a token on average, more than in any common language: about 4.5 in English, 4 in Chinese. A server that
 * sends several tokens in one chunk and counts correctly is therefore not cut before its own limit.
 */
const MAX_BYTES_PER_TOKEN = 6;

/** A piece of an answer within its limit. */
export interface CountedPiece {
  /** "" if the limit is reached. */
  readonly text: string;
  readonly tokens: number;
}

/** The first `maxBytes` UTF-8 bytes of a text, in whole characters. */
function beginning(text: string, maxBytes: number): string {
  let end = 0;
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character, "utf8");
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/**
 * Counts the tokens of an answer and ends it at `max_tokens`, because servers may ignore the limit. Each chunk counts as
 * at least one token, since most servers send one token a chunk, and {@link MAX_BYTES_PER_TOKEN} bytes as another one.
 */
export class AnswerLimit {
  readonly #maxTokens: number;
  #tokens = 0;
  #bytes = 0;
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
    const room = this.#maxTokens * MAX_BYTES_PER_TOKEN - this.#bytes;
    this.#bytes += Buffer.byteLength(text, "utf8");
    const tokens = Math.max(before + 1, Math.ceil(this.#bytes / MAX_BYTES_PER_TOKEN));
    this.#tokens = Math.min(tokens, this.#maxTokens);
    if (tokens <= this.#maxTokens) return { text, tokens: tokens - before };
    this.#exceeded = true;
    return { text: beginning(text, room), tokens: this.#maxTokens - before };
  }
}
