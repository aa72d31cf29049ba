const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Assembles the text of an answer from pieces. Pieces may overlap: after a reconnect the server may repeat text that
 * was already received. Offsets are UTF-8 bytes of the answer.
 */
export class AnswerText {
  #text: string;
  #end: number;

  /** @param text - Text of the answer that was received before the page was reloaded. */
  constructor(text = "") {
    this.#text = text;
    this.#end = encoder.encode(text).length;
  }

  /** Offset of the next missing byte. `text` holds everything before it. */
  get end(): number {
    return this.#end;
  }

  get text(): string {
    return this.#text;
  }

  /**
   * Adds the piece at `from`..`to` and returns its new part, which is `""` if all of it is known. If text before the
   * piece is missing, adds nothing and returns undefined; the closing frame then restores the whole text.
   */
  take(content: string, from: number, to: number): string | undefined {
    if (to <= this.#end) return "";
    if (from > this.#end) return undefined;
    const delta =
      from === this.#end ? content : decoder.decode(encoder.encode(content).subarray(this.#end - from));
    this.#text += delta;
    this.#end = to;
    return delta;
  }
}
