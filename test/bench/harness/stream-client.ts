import type { Socket } from "node:net";
import { FrameCounter, MESSAGE } from "./frame-counter.ts";
import type { Counted, LoadClient, RunOrder } from "./load-client.ts";
import { openSockets } from "./open-sockets.ts";
import { clientFrame } from "./wire.ts";

/** Sockets that ask and are sent frames until one that ends it. */
export interface StreamPlan {
  readonly kind: "stream";
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  /** True: asks again as soon as the end has come. False: asks once in a run, spread over `spreadMs`. */
  readonly again: boolean;
  readonly spreadMs: number;
  /** Each text in it that reads `$ms`, `$tokens`, `$frames` or `$bytes` is replaced by that figure of the run. */
  readonly request: string;
  /** Milliseconds between two tokens, for `$tokens`. */
  readonly tokenMs: number;
}

/** Many sockets that count what they are sent, as cheaply as Node.js can: plain TCP, frames looked at by their heads. */
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
      // The service greets; who does not is as good as open.
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

  /** Counts ends as replies, and all frames and their bytes. */
  async run({ ms, frames = 0, bytes = 0 }: RunOrder): Promise<Counted> {
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
    if (type === "e".charCodeAt(0)) this.#failed(new Error("the server sent an error"));
    if (type !== MESSAGE) return;
    this.#ends++;
    if (this.#running) socket.write(this.#request);
    else if (--this.#outstanding === 0) this.#settled?.();
  }
}
