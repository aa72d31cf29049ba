import type { Socket } from "node:net";
import { FrameCounter, MESSAGE } from "./frame-counter.ts";
import type { Counted, LoadClient, RunParameters } from "./load-client.ts";
import { openSockets } from "./open-sockets.ts";
import { clientFrame } from "./wire.ts";

/** Plan of a client whose sockets send a request and receive frames until the closing one. */
export interface StreamPlan {
  readonly kind: "stream";
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  /**
   * True: sends the next request as soon as the closing frame arrives. False: one request per run, spread over
   * `spreadMs`.
   */
  readonly again: boolean;
  readonly spreadMs: number;
  /** The request. `$ms`, `$tokens`, `$frames` and `$bytes` in it are replaced by the figures of the run. */
  readonly request: string;
  /** Milliseconds between two tokens, for `$tokens`. */
  readonly tokenMs: number;
}

/**
 * Many sockets that count the frames they receive, as cheaply as Node.js can: plain TCP, only frame headers are read.
 */
export class StreamClient implements LoadClient {
  readonly #plan: StreamPlan;
  readonly #failed: (error: Error) => void;
  #sockets: readonly Socket[] = [];
  #request: Buffer = Buffer.alloc(0);
  #running = false;
  #outstanding = 0;
  #ends = 0;
  #frames = 0;
  #bytes = 0;
  #settled: (() => void) | null = null;

  constructor(plan: StreamPlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
  }

  async open(): Promise<void> {
    const { port, path, sockets } = this.#plan;
    this.#sockets = await openSockets({
      port,
      paths: Array.from({ length: sockets }, () => path),
      // The service sends a welcome. The raw servers (path `/`) do not, so the upgrade response is enough.
      opened: (greeting) => {
        if (greeting.includes('"welcome"') && greeting.at(-1) === "}".charCodeAt(0)) return true;
        return greeting.includes("\r\n\r\n") && path === "/";
      },
      take: (socket) => {
        const counter = new FrameCounter((type, bytes) => this.#frame(socket, type, bytes));
        return (bytes, buffer) => {
          counter.take(buffer, bytes);
          return true;
        };
      },
      failed: this.#failed,
    });
  }

  /** Counts closing frames as replies, and all frames and their bytes. */
  async run({ ms, frames = 0, bytes = 0 }: RunParameters): Promise<Counted> {
    const { request, tokenMs, sockets, again, spreadMs } = this.#plan;
    const text = request
      .replace("$ms", String(ms))
      .replace("$tokens", String(Math.max(Math.round(ms / Math.max(tokenMs, 1)), 1)))
      .replace("$frames", String(Math.max(Math.round(frames / sockets), 1)))
      .replace("$bytes", String(Math.round(bytes / Math.max(frames, 1))));
    this.#request = clientFrame(text);
    this.#frames = this.#bytes = this.#ends = 0;
    this.#outstanding = sockets;
    this.#running = again;
    const settled = new Promise<void>((resolve) => (this.#settled = resolve));
    for (const [index, socket] of this.#sockets.entries()) {
      setTimeout(() => socket.write(this.#request), (index * spreadMs) / sockets);
    }
    setTimeout(() => (this.#running = false), ms);
    await settled;
    return { replies: this.#ends, frames: this.#frames, bytes: this.#bytes };
  }

  #frame(socket: Socket, type: number, bytes: number): void {
    this.#frames++;
    this.#bytes += bytes;
    if (type === "e".charCodeAt(0)) this.#failed(new Error("the server sent an error frame"));
    if (type !== MESSAGE) return;
    this.#ends++;
    if (this.#running) socket.write(this.#request);
    else if (--this.#outstanding === 0) this.#settled?.();
  }
}
