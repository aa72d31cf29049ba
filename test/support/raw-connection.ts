import { connect, type Socket } from "node:net";

/** A TCP connection to 127.0.0.1 that sends arbitrary bytes and records the received ones. */
export class RawConnection {
  /** The first received bytes, one character per byte. */
  text = "";
  /** Number of received bytes. */
  bytes = 0;
  /** Milliseconds that the connection was open; null while it is open. */
  openMs: number | null = null;
  readonly ended: Promise<void>;
  readonly #socket: Socket;

  constructor(port: number) {
    const start = performance.now();
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (this.text.length < MAX_TEXT) this.text += chunk.toString("latin1");
    });
    // A reset counts as a normal end.
    this.#socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.openMs = performance.now() - start;
        resolve();
      });
    });
  }

  /** Status codes of the received HTTP replies, in order. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
  }

  write(bytes: Buffer | string): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Resolves when the kernel has received everything written so far, or the connection has ended. */
  written(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.writable) this.#socket.write("", () => resolve());
      else resolve();
    });
  }

  /** Writes `byte` every `everyMs` milliseconds until the connection ends. */
  drip(byte: string, everyMs: number): void {
    const timer = setInterval(() => this.write(byte), everyMs);
    void this.ended.then(() => clearInterval(timer));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resets the connection. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }
}

/** Maximum length of the recorded text, in bytes. */
const MAX_TEXT = 100_000;
