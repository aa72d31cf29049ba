const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Puts an answer's text together from pieces that may come twice: after a cut the server sends it again from the start.
 * Offsets are UTF-8 bytes of the answer.
 */
export class AnswerText {
  #text = "";
  #end = 0;

  get text(): string {
    return this.#text;
  }

  /**
   * Takes the piece at `from`..`to` and returns what of it is new, `""` when all was known. Undefined when text before
   * the piece is missing: nothing is appended then, and the closing frame, which carries the whole text, must mend it.
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
