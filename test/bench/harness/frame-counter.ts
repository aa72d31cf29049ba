/** Length values of WebSocket frames whose real length is in the next two or eight bytes. */
const TWO_BYTE_LENGTH = 126;
const EIGHT_BYTE_LENGTH = 127;

/** Every frame of both servers begins with `{"type":"`. The byte after that identifies the type. */
const TYPE_AT = 9;

/** Longest header of a server's frame plus the payload bytes up to and including the type byte. */
const ENOUGH_BYTES = 10 + TYPE_AT + 1;

/** First letters of the frame types that benches count. */
export const MESSAGE = "m".charCodeAt(0);
export const TOKEN = "t".charCodeAt(0);

/** Finds the frames in a server's byte stream. It reads only headers and first letters, to be as cheap as possible. */
export class FrameCounter {
  readonly #frame: (type: number, bytes: number) => void;
  /** Remaining bytes of the current frame, which are skipped. */
  #skip = 0;
  /** The beginning of a frame whose header is incomplete. */
  #rest: Buffer | null = null;

  /**
   * `frame` is called with the first letter of each frame's type and its payload length, as soon as the header is read.
   */
  constructor(frame: (type: number, bytes: number) => void) {
    this.#frame = frame;
  }

  /** Reads the first `length` bytes of `buffer`. The caller may reuse the buffer afterwards. */
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
