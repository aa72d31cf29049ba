import { write as writeToFile } from "node:fs";

/** Output of the log. */
export interface LogDestination {
  /** Writes one line, which includes its line break. Never throws or blocks. Drops the line if the buffer is full. */
  write(line: string): void;
  /** Resolves when all accepted lines are written or dropped, or after `withinMs` milliseconds. Never rejects. */
  flush(withinMs?: number): Promise<void>;
  /** Lines dropped since the start because the reader stalled or closed its end. */
  droppedLines(): number;
}

export interface LogDestinationOptions {
  /** File descriptor; standard output by default. */
  readonly fd?: number;
  /** Maximum bytes buffered while the reader stalls; default 1 MiB. */
  readonly maxBytes?: number;
}

const STDOUT = 1;
const DEFAULT_MAX_BYTES = 1_048_576;
const CHUNK_BYTES = 65_536;
const RETRY_MS = 50;
const FLUSH_MS = 1_000;

/**
 * Writes log lines asynchronously into a bounded buffer. pino's own destination is not used because it flushes
 * synchronously at exit: if the reader stalls or is gone, it retries forever and the process never exits.
 */
export function createLogDestination(options: LogDestinationOptions = {}): LogDestination {
  const { fd = STDOUT, maxBytes = DEFAULT_MAX_BYTES } = options;
  if (fd === STDOUT) prepareStandardOutput();
  return new BoundedWriter(fd, maxBytes);
}

/**
 * Accessing `process.stdout` makes Node set a pipe to non-blocking mode. In blocking mode, a stalled reader would block
 * a pool thread in `write`, and the process could not exit until that thread returns.
 */
function prepareStandardOutput(): void {
  const listener = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  };
  if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", listener);
}

class BoundedWriter implements LogDestination {
  readonly #fd: number;
  readonly #maxBytes: number;
  #waiting: string[] = [];
  /** Bytes of `#waiting` and of the chunk being written. */
  #bytes = 0;
  #chunk: Buffer | undefined;
  /** Lines in `#chunk`, to count them if the chunk is dropped. */
  #chunkLines = 0;
  #dropped = 0;
  /** Part of `#dropped` that is already reported in the log. */
  #reported = 0;
  #closed = false;
  /** The last write failed, so a note about dropped lines would be lost as well. */
  #failing = false;
  #onIdle: (() => void)[] = [];

  constructor(fd: number, maxBytes: number) {
    this.#fd = fd;
    this.#maxBytes = maxBytes;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#closed || this.#bytes + bytes > this.#maxBytes) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#bytes += bytes;
    this.#next();
  }

  flush(withinMs = FLUSH_MS): Promise<void> {
    if (this.#chunk === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  droppedLines(): number {
    return this.#dropped;
  }

  #next(): void {
    if (this.#chunk !== undefined) return;
    if (this.#waiting.length === 0) this.#reportDropped();
    if (this.#waiting.length === 0) {
      for (const resolve of this.#onIdle.splice(0)) resolve();
      return;
    }
    let bytes = 0;
    let lines = 0;
    while (lines < this.#waiting.length && bytes < CHUNK_BYTES)
      bytes += Buffer.byteLength(this.#waiting[lines++] ?? "");
    this.#chunk = Buffer.from(this.#waiting.splice(0, lines).join(""));
    this.#chunkLines = lines;
    this.#writeChunk();
  }

  #writeChunk(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    writeToFile(this.#fd, chunk, 0, chunk.length, null, (error, written) => {
      if (error) return this.#failed(error);
      this.#failing = false;
      this.#bytes -= written;
      const rest = chunk.subarray(written);
      this.#chunk = rest.length > 0 ? rest : undefined;
      if (rest.length > 0) this.#writeChunk();
      else this.#next();
    });
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (error.code === "EAGAIN" || error.code === "EBUSY") {
      // A stalled reader must not keep a process running that has no other work.
      setTimeout(() => this.#writeChunk(), RETRY_MS).unref();
      return;
    }
    this.#failing = true;
    // A full disk may recover; a closed pipe does not.
    this.#closed = error.code === "EPIPE" || error.code === "EBADF";
    this.#dropped += this.#chunkLines;
    this.#bytes -= this.#chunk?.length ?? 0;
    this.#chunk = undefined;
    if (this.#closed) {
      this.#dropped += this.#waiting.length;
      this.#waiting = [];
      this.#bytes = 0;
    }
    this.#next();
  }

  /** Adds a log line with the number of dropped lines once the reader continues. */
  #reportDropped(): void {
    const missing = this.#dropped - this.#reported;
    if (missing === 0 || this.#failing) return;
    this.#reported = this.#dropped;
    const note = {
      level: "warn",
      time: new Date().toISOString(),
      dropped: missing,
      msg: "log lines were dropped",
    };
    const line = `${JSON.stringify(note)}\n`;
    this.#waiting.push(line);
    this.#bytes += Buffer.byteLength(line);
  }
}
