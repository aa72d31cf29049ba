/** Lengths that say where the real one is: in the next two or eight bytes. */
const TWO_BYTE_LENGTH = 126;
const EIGHT_BYTE_LENGTH = 127;

/** Every frame of both servers begins with `{"type":"`; the byte behind that tells the type. */
const TYPE_AT = 9;

/** Longest head of a server's frame, and the bytes of the payload up to the type. */
const ENOUGH_BYTES = 10 + TYPE_AT + 1;

/** First letters of the types of frames that matter to benches. */
export const MESSAGE = "m".charCodeAt(0);
export const TOKEN = "t".charCodeAt(0);

/** Finds the frames in what a server sends, as cheaply as can be: it looks at heads and first letters only. */
export class FrameCounter {
  readonly #frame: (type: number, bytes: number) => void;
  /** Bytes of the present frame that are still to come and need no look. */
  #skip = 0;
  /** The beginning of a frame whose head came in part. */
  #rest: Buffer | null = null;

  /** `frame` is told the first letter of each frame's type and the bytes of its payload, when its head is there. */
  constructor(frame: (type: number, bytes: number) => void) {
    this.#frame = frame;
  }

  /** Takes the first `length` bytes of `buffer`, which the caller may use again. */
  take(buffer: Buffer, length: number): void {
    let bytes = buffer;
    let end = length;
    let at = Math.min(this.#skip, end);
    this.#skip -= at;
    if (this.#rest !== null) {
      bytes = Buffer.concat([this.#rest, buffer.subarray(0, length)]);
      end = bytes.length;
      this.#rest = null;
    }
    while (at < end) {
      if (end - at < ENOUGH_BYTES) {
        this.#rest = Buffer.from(bytes.subarray(at, end));
        return;
      }
      const short = (bytes[at + 1] as number) & 0x7f;
      const head = short === EIGHT_BYTE_LENGTH ? 10 : short === TWO_BYTE_LENGTH ? 4 : 2;
      const payload =
        head === 2 ? short : head === 4 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      this.#frame(bytes[at + head + TYPE_AT] as number, payload);
      const next = at + head + payload;
      this.#skip = Math.max(next - end, 0);
      at = next;
    }
  }
}
