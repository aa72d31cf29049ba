import { MAX_CLOSE_REASON_BYTES } from "../../protocol/close-codes.ts";

/** Size of the buffer that all short texts share, in bytes. Nearly every frame is far smaller. */
const SHARED_BYTES = 65_536;

/**
 * Views of the shared buffer up to this length, in bytes, are cached: creating one costs more than the encoding. All
 * cached views together need less than 1 MB.
 */
const MAX_CACHED_VIEW = 4096;

/** Maximum UTF-8 bytes of one UTF-16 code unit. */
const MAX_BYTES_PER_UNIT = 3;

const ELLIPSIS = "…";

/**
 * Encodes all outgoing text as UTF-8. The socket library gets bytes and never a string, because some of its binaries
 * write strings that V8 stores as Latin-1 without converting them.
 */
export class WireEncoder {
  readonly #encoder = new TextEncoder();
  readonly #shared = new Uint8Array(SHARED_BYTES);
  /** Cached views of the shared buffer: from its start, by length, and to its end, by offset. */
  readonly #heads: Uint8Array[] = [];
  readonly #tails: Uint8Array[] = [];

  /**
   * The bytes of `text`, preceded by those of `head` if given. A lone surrogate becomes U+FFFD. The result is valid
   * only until the next call: the caller passes it to the library at once, which copies what it cannot send.
   */
  encode(text: string | Uint8Array, head?: Uint8Array): Uint8Array {
    if (typeof text !== "string") return head === undefined ? text : Buffer.concat([head, text]);
    const offset = head?.length ?? 0;
    // encodeInto stops at the end of its buffer without an error, so only text that certainly fits is encoded there.
    if (offset + text.length * MAX_BYTES_PER_UNIT > SHARED_BYTES) {
      const bytes = Buffer.from(text, "utf8");
      return head === undefined ? bytes : Buffer.concat([head, bytes]);
    }
    if (head === undefined) return this.#head(this.#encoder.encodeInto(text, this.#shared).written);
    this.#shared.set(head);
    return this.#head(offset + this.#encoder.encodeInto(text, this.#tail(offset)).written);
  }

  /** The bytes of a close reason, truncated at a character boundary to the 123 bytes that a close frame can hold. */
  closeReason(text: string): Uint8Array {
    const whole = Buffer.from(text, "utf8");
    if (whole.length <= MAX_CLOSE_REASON_BYTES) return whole;
    const cut = new Uint8Array(MAX_CLOSE_REASON_BYTES);
    const ellipsis = this.#encoder.encode(ELLIPSIS);
    // encodeInto never writes a partial character.
    const { written } = this.#encoder.encodeInto(text, cut.subarray(0, cut.length - ellipsis.length));
    cut.set(ellipsis, written);
    return cut.subarray(0, written + ellipsis.length);
  }

  #head(length: number): Uint8Array {
    if (length > MAX_CACHED_VIEW) return this.#shared.subarray(0, length);
    return (this.#heads[length] ??= this.#shared.subarray(0, length));
  }

  #tail(offset: number): Uint8Array {
    if (offset > MAX_CACHED_VIEW) return this.#shared.subarray(offset);
    return (this.#tails[offset] ??= this.#shared.subarray(offset));
  }
}
