import type { FileHandle } from "node:fs/promises";

/** Why a file is not a usable GGUF file: a predicate for the file's name, such as "ends inside its key-values". */
export class GgufFault extends Error {
  constructor(predicate: string) {
    super(predicate);
    this.name = "GgufFault";
  }
}

/** Bytes read at once. */
const WINDOW_BYTES = 1_048_576;
/** Real headers have up to about 30 MiB, most of it the vocabulary. Reading more would take seconds. */
const MAX_HEADER_BYTES = 256 * 1_048_576;
/** Bytes of the longest text that is returned: a key, a name or a short value. */
const MAX_TEXT_BYTES = 65_535;

/** Reads little-endian values from the start of a file. Memory is bounded by one window, whatever the file claims. */
export class GgufReader {
  readonly #file: FileHandle;
  /** Size of the file in bytes. */
  readonly size: number;
  #window = Buffer.alloc(0);
  /** Position of the window in the file. */
  #windowAt = 0;
  #position = 0;
  /** The part of the file that is read, for error messages. */
  section = "its header";

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  get position(): number {
    return this.#position;
  }

  /** Bytes from the position to the end of the file. */
  get remaining(): number {
    return this.size - this.#position;
  }

  async uint32(): Promise<number> {
    return (await this.#take(4)).readUInt32LE();
  }

  async uint64(): Promise<bigint> {
    return (await this.#take(8)).readBigUInt64LE();
  }

  /** A count of items that take at least `itemBytes` each. @throws GgufFault when the file cannot hold them */
  async count(what: string, itemBytes: number): Promise<number> {
    const count = await this.uint64();
    if (count > BigInt(Math.floor(this.remaining / itemBytes))) {
      throw new GgufFault(`claims ${count} ${what}, more than it has room for: it is damaged or cut off`);
    }
    return Number(count);
  }

  /** A text with its length. @throws GgufFault when it is longer than `maxBytes` */
  async text(what: string, maxBytes = MAX_TEXT_BYTES): Promise<string> {
    const length = await this.count(`bytes for ${what}`, 1);
    if (length > maxBytes)
      throw new GgufFault(`has ${what} of ${length} bytes; at most ${maxBytes} are allowed`);
    return (await this.#take(length)).toString("utf8");
  }

  /** Skips texts with their lengths. */
  async skipTexts(count: number, what: string): Promise<void> {
    for (let index = 0; index < count; index++) {
      // A vocabulary has up to a million texts. One promise for each would take too long.
      if (this.#position + 8 > this.#windowEnd) await this.#read(8);
      const at = this.#position - this.#windowAt;
      const length = this.#window.readUInt32LE(at) + this.#window.readUInt32LE(at + 4) * 2 ** 32;
      this.#position += 8;
      if (length > this.remaining) {
        throw new GgufFault(
          `claims ${length} bytes for text ${index + 1} of ${what}, more than it has: it is damaged`,
        );
      }
      this.#position += length;
    }
  }

  async bytes(count: number): Promise<Buffer> {
    return Buffer.from(await this.#take(count));
  }

  skip(bytes: number): void {
    if (bytes > this.remaining) throw this.#ended();
    this.#position += bytes;
  }

  get #windowEnd(): number {
    return this.#windowAt + this.#window.length;
  }

  async #take(bytes: number): Promise<Buffer> {
    if (this.#position < this.#windowAt || this.#position + bytes > this.#windowEnd) await this.#read(bytes);
    const from = this.#position - this.#windowAt;
    this.#position += bytes;
    return this.#window.subarray(from, from + bytes);
  }

  /** Moves the window to the position. */
  async #read(bytes: number): Promise<void> {
    if (bytes > this.remaining) throw this.#ended();
    if (this.#position + bytes > MAX_HEADER_BYTES) {
      throw new GgufFault(`has a header of more than ${MAX_HEADER_BYTES / 1_048_576} MiB`);
    }
    const buffer = Buffer.alloc(Math.min(Math.max(WINDOW_BYTES, bytes), this.remaining));
    let read = 0;
    while (read < buffer.length) {
      const { bytesRead } = await this.#file.read(buffer, read, buffer.length - read, this.#position + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    // The file became shorter since its size was read.
    if (read < bytes) throw this.#ended();
    this.#window = buffer.subarray(0, read);
    this.#windowAt = this.#position;
  }

  #ended(): GgufFault {
    return new GgufFault(`ends inside ${this.section}`);
  }
}
