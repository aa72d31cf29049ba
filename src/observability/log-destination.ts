import { write as writeToFile } from "node:fs";

/** Where the lines of the log go. */
export interface LogDestination {
  /** Takes one line with its line end. Never throws, never blocks; drops the line when too much waits already. */
  write(line: string): void;
  /** Resolves when all that was taken is written, given up, or `withinMs` is over. Never rejects. */
  flush(withinMs?: number): Promise<void>;
  /** Lines dropped since the start because the reader stalled or is gone. */
  droppedLines(): number;
}

export interface LogDestinationOptions {
  /** File descriptor; standard output by default. */
  readonly fd?: number;
  /** Bytes that may wait while the reader stalls. */
  readonly maxBytes?: number;
}

const STDOUT = 1;
const DEFAULT_MAX_BYTES = 1_048_576;
const CHUNK_BYTES = 65_536;
const RETRY_MS = 50;
const FLUSH_MS = 1_000;

/**
 * Writes log lines asynchronously and within bounds. pino's own destination is not used: at exit it flushes
 * synchronously, and with a reader that stalls or went away it then retries for ever and the process never ends.
 */
export function createLogDestination(options: LogDestinationOptions = {}): LogDestination {
  const { fd = STDOUT, maxBytes = DEFAULT_MAX_BYTES } = options;
  if (fd === STDOUT) prepareStandardOutput();
  return new BoundedWriter(fd, maxBytes);
}

/**
 * Reading `process.stdout` makes Node set a pipe to non-blocking. In blocking mode a stalled reader would hold a thread
 * of the pool in `write`, and the exit of the process waits for that thread.
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
  /** Bytes of `#waiting` and of the chunk that is being written. */
  #bytes = 0;
  #chunk: Buffer | undefined;
  /** Lines in `#chunk`, for the count when it must be given up. */
  #chunkLines = 0;
  #dropped = 0;
  /** Part of `#dropped` that the log itself already tells. */
  #reported = 0;
  #gone = false;
  /** The last write failed, so that a note about lost lines would be lost too. */
  #failing = false;
  #onIdle: (() => void)[] = [];

  constructor(fd: number, maxBytes: number) {
    this.#fd = fd;
    this.#maxBytes = maxBytes;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#gone || this.#bytes + bytes > this.#maxBytes) {
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
      // A reader that stalls must not keep alive a process that has nothing else to do.
      setTimeout(() => this.#writeChunk(), RETRY_MS).unref();
      return;
    }
    this.#failing = true;
    // A full disk may recover; a reader that is gone does not.
    this.#gone = error.code === "EPIPE" || error.code === "EBADF";
    this.#dropped += this.#chunkLines;
    this.#bytes -= this.#chunk?.length ?? 0;
    this.#chunk = undefined;
    if (this.#gone) {
      this.#dropped += this.#waiting.length;
      this.#waiting = [];
      this.#bytes = 0;
    }
    this.#next();
  }

  /** Once the reader goes on, the log says itself what is missing from it. */
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
