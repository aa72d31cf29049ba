/** Pieces are joined into blocks of about this many bytes, so that there are few strings and cutting one is cheap. */
const BLOCK_BYTES = 8192;

/** Longer pieces are split. In UTF-16 units. */
const MAX_PIECE_UNITS = 4096;

/**
 * Append-only text that can be read from any character boundary. Offsets are UTF-8 bytes. The cost of a read depends on
 * the length that is read, not on the length of the text or the position in it.
 */
export class TextLog {
  /** Blocks, followed by the pieces appended since the last block. */
  readonly #pieces: string[] = [];
  /** Offset at which each piece ends. */
  readonly #ends: number[] = [];
  /** Number of blocks at the start of the list. */
  #blocks = 0;
  #length = 0;

  /** Length of the text in bytes. */
  get length(): number {
    return this.#length;
  }

  /** Appends text without lone surrogates. `bytes` is its length in UTF-8. */
  append(text: string, bytes: number): void {
    if (text.length > MAX_PIECE_UNITS) {
      for (let at = 0; at < text.length;) {
        const end = pieceEnd(text, at);
        const piece = text.slice(at, end);
        this.#push(piece, Buffer.byteLength(piece));
        at = end;
      }
    } else if (text !== "") {
      this.#push(text, bytes);
    }
  }

  /** Text between two character boundaries; `to` defaults to the end. */
  read(from: number, to: number = this.#length): string {
    if (from >= to) return "";
    const pieces = this.#pieces;
    const first = this.#indexOf(from);
    const head = this.#cut(first, from, to);
    if ((this.#ends[first] as number) >= to) return head;
    const last = this.#indexOf(to - 1);
    let text = head;
    for (let index = first + 1; index < last; index++) text += pieces[index] as string;
    return text + this.#cut(last, 0, to);
  }

  /** The last character boundary at or before `offset`, at most {@link length}. */
  boundary(offset: number): number {
    if (offset >= this.#length) return this.#length;
    if (offset <= 0) return 0;
    const index = this.#indexOf(offset);
    const start = this.#startOf(index);
    const piece = this.#pieces[index] as string;
    if (piece.length === (this.#ends[index] as number) - start) return offset;
    const bytes = Buffer.from(piece);
    let at = offset - start;
    // 0b10xxxxxx is a continuation byte.
    while (at > 0 && ((bytes[at] as number) & 0xc0) === 0x80) at--;
    return start + at;
  }

  /** Joins the remaining pieces into a block; call it when the text is complete. */
  seal(): void {
    this.#join();
  }

  #push(piece: string, bytes: number): void {
    this.#length += bytes;
    this.#pieces.push(piece);
    this.#ends.push(this.#length);
    if (this.#length - this.#startOf(this.#blocks) >= BLOCK_BYTES) this.#join();
  }

  #join(): void {
    const pieces = this.#pieces;
    if (pieces.length - this.#blocks > 1) {
      const block = pieces.slice(this.#blocks).join("");
      pieces.length = this.#blocks;
      this.#ends.length = this.#blocks;
      pieces.push(block);
      this.#ends.push(this.#length);
    }
    this.#blocks = pieces.length;
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] as number);
  }

  /** Index of the piece with the byte at `offset`, which must be within the text. */
  #indexOf(offset: number): number {
    const ends = this.#ends;
    // Most cursors are near the end, so check the last piece first.
    let high = ends.length - 1;
    if (this.#startOf(high) <= offset) return high;
    let low = 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Part of a piece between two offsets of the text. */
  #cut(index: number, from: number, to: number): string {
    const piece = this.#pieces[index] as string;
    const start = this.#startOf(index);
    const bytes = (this.#ends[index] as number) - start;
    const head = Math.max(from - start, 0);
    const tail = Math.min(to - start, bytes);
    if (head === 0 && tail === bytes) return piece;
    // As many UTF-16 units as bytes: the piece is ASCII, so offsets are indexes.
    if (piece.length === bytes) return piece.slice(head, tail);
    return Buffer.from(piece).toString("utf8", head, tail);
  }
}

/** End of the piece of `text` that begins at `at`; never inside a surrogate pair. */
function pieceEnd(text: string, at: number): number {
  const end = at + MAX_PIECE_UNITS;
  if (end >= text.length) return text.length;
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last < 0xdc00 ? end - 1 : end;
}
