import { connect, type Socket } from "node:net";

/** A TCP connection to this machine that sends any bytes and keeps what comes. */
export class RawConnection {
  /** The start of what came, one character a byte. */
  text = "";
  /** All bytes that came. */
  bytes = 0;
  /** Milliseconds from the first to the last moment of the connection; null while it lives. */
  livedMs: number | null = null;
  readonly ended: Promise<void>;
  readonly #socket: Socket;

  constructor(port: number) {
    const start = performance.now();
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      if (this.text.length < MAX_TEXT) this.text += chunk.toString("latin1");
    });
    // A reset is an end like any other here.
    this.#socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.livedMs = performance.now() - start;
        resolve();
      });
    });
  }

  /** Status codes of the HTTP replies that came, in order. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
  }

  write(bytes: Buffer | string): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Writes byte after byte until the connection ends. */
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

  cut(): void {
    this.#socket.resetAndDestroy();
  }
}

const MAX_TEXT = 100_000;
