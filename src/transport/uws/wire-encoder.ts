import { MAX_CLOSE_REASON_BYTES } from "../../protocol/close-codes.ts";

/** Size of the buffer that all short texts share, in bytes. Nearly every frame is far below it. */
const SHARED_BYTES = 65_536;

/** Lengths up to this one, in bytes, keep their view of the shared buffer: a new view costs more than the encoding. */
const MAX_KEPT_VIEW = 4096;

/** UTF-8 needs at most three bytes for one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;

const ELLIPSIS = "…";

/**
 * Turns text into the UTF-8 bytes that leave the process. The socket library gets bytes and never a string, because
 * some of its binaries write a string that V8 holds as Latin-1 without converting it.
 */
export class WireEncoder {
  readonly #encoder = new TextEncoder();
  readonly #shared = new Uint8Array(SHARED_BYTES);
  /** Views of the shared buffer from its start, by length, and to its end, by offset. */
  readonly #heads: Uint8Array[] = [];
  readonly #tails: Uint8Array[] = [];

  /**
   * The bytes of `text`, behind those of `head` where one is given. A lone surrogate becomes U+FFFD. The result is valid
   * until the next call: the caller hands it to the library at once, which copies what it cannot send.
   */
  encode(text: string | Uint8Array, head?: Uint8Array): Uint8Array {
    if (typeof text !== "string") return head === undefined ? text : Buffer.concat([head, text]);
    const offset = head?.length ?? 0;
    // encodeInto stops at the end of its buffer without an error, so only what is certain to fit may go there.
    if (offset + text.length * MAX_BYTES_PER_UNIT > SHARED_BYTES) {
      const bytes = Buffer.from(text, "utf8");
      return head === undefined ? bytes : Buffer.concat([head, bytes]);
    }
    if (head === undefined) return this.#head(this.#encoder.encodeInto(text, this.#shared).written);
    this.#shared.set(head);
    return this.#head(offset + this.#encoder.encodeInto(text, this.#tail(offset)).written);
  }

  /** The bytes of a close reason, cut at a character to what a close frame can hold: 123 bytes. */
  closeReason(text: string): Uint8Array {
    const whole = Buffer.from(text, "utf8");
    if (whole.length <= MAX_CLOSE_REASON_BYTES) return whole;
    const cut = new Uint8Array(MAX_CLOSE_REASON_BYTES);
    const ellipsis = this.#encoder.encode(ELLIPSIS);
    // encodeInto never writes a part of a character.
    const { written } = this.#encoder.encodeInto(text, cut.subarray(0, cut.length - ellipsis.length));
    cut.set(ellipsis, written);
    return cut.subarray(0, written + ellipsis.length);
  }

  #head(length: number): Uint8Array {
    if (length > MAX_KEPT_VIEW) return this.#shared.subarray(0, length);
    return (this.#heads[length] ??= this.#shared.subarray(0, length));
  }

  #tail(offset: number): Uint8Array {
    if (offset > MAX_KEPT_VIEW) return this.#shared.subarray(offset);
    return (this.#tails[offset] ??= this.#shared.subarray(offset));
  }
}
