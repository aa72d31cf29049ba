const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Puts an answer's text together from pieces that may come twice: after a cut the server may send again what was read
 * already. Offsets are UTF-8 bytes of the answer.
 */
export class AnswerText {
  #text: string;
  #end: number;

  /** `text`: what was shown before the page was loaded anew. */
  constructor(text = "") {
    this.#text = text;
    this.#end = encoder.encode(text).length;
  }

  /** Where the next new byte lies; everything before it is in `text`. */
  get end(): number {
    return this.#end;
  }

  get text(): string {
    return this.#text;
  }

  /**
   * Takes the piece at `from`..`to` and returns what of it is new, `""` when all was known. Undefined when text before
   * the piece is missing: nothing is appended then, and the closing frame, which carries the whole text, must restore it.
   */
  take(content: string, from: number, to: number): string | undefined {
    if (to <= this.#end) return "";
    if (from > this.#end) return undefined;
    const fresh =
      from === this.#end ? content : decoder.decode(encoder.encode(content).subarray(this.#end - from));
    this.#text += fresh;
    this.#end = to;
    return fresh;
  }
}
