import type { Socket } from "node:net";
import type { Counted, LoadClient, RunParameters } from "./load-client.ts";
import { openSockets } from "./open-sockets.ts";
import { clientFrame, serverFrame } from "./wire.ts";

/** Plan of a client whose sockets all send requests and wait for the replies. */
export interface PingPlan {
  readonly kind: "ping";
  readonly port: number;
  readonly path: string;
  readonly sockets: number;
  /** Outstanding requests per socket. */
  readonly depth: number;
  readonly request: string;
  readonly reply: string;
}

/**
 * Many sockets that send requests and wait for the replies, as cheaply as Node.js can: plain TCP, frames masked in
 * advance, replies read into one shared buffer and compared as bytes. A real WebSocket client costs more than the
 * server that it has to saturate.
 */
export class PingClient implements LoadClient {
  readonly #plan: PingPlan;
  readonly #batch: Buffer;
  readonly #replies: Buffer;
  #sockets: readonly Socket[] = [];
  readonly #failed: (error: Error) => void;
  #running = false;
  #outstanding = 0;
  #rounds = 0;
  #settled: (() => void) | null = null;

  /** `failed` is called when a socket is lost or a reply is not the expected one. */
  constructor(plan: PingPlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
    this.#batch = repeat(clientFrame(plan.request), plan.depth);
    this.#replies = repeat(serverFrame(plan.reply), plan.depth);
  }

  /** Opens all sockets. Resolves when each has received one reply. */
  async open(): Promise<void> {
    const { port, path, sockets, request, reply } = this.#plan;
    const firstReply = serverFrame(reply);
    const asked = new Set<Socket>();
    this.#sockets = await openSockets({
      port,
      paths: Array.from({ length: sockets }, () => path),
      // `greeting` holds the upgrade response, a welcome frame if the server sends one, and then the first reply.
      opened: (greeting, socket) => {
        if (!asked.has(socket) && greeting.includes("\r\n\r\n")) {
          asked.add(socket);
          socket.write(clientFrame(request));
        }
        return asked.has(socket) && greeting.subarray(-firstReply.length).equals(firstReply);
      },
      take: (socket) => {
        const state = { received: 0 };
        return (bytes, buffer) => this.#take(socket, state, bytes, buffer);
      },
      failed: this.#failed,
    });
  }

  /** Sends requests for `ms` milliseconds and waits for every reply. Each reply is checked. */
  async run({ ms }: RunParameters): Promise<Counted> {
    this.#rounds = 0;
    this.#running = true;
    this.#outstanding = this.#sockets.length;
    const settled = new Promise<void>((resolve) => (this.#settled = resolve));
    for (const socket of this.#sockets) socket.write(this.#batch);
    setTimeout(() => (this.#running = false), ms);
    await settled;
    const replies = this.#rounds * this.#plan.depth;
    return { replies, frames: replies, bytes: 0 };
  }

  #take(socket: Socket, state: { received: number }, bytes: number, buffer: Buffer): boolean {
    const replies = this.#replies;
    const end = state.received + bytes;
    if (end > replies.length || buffer.compare(replies, state.received, end, 0, bytes) !== 0) {
      this.#failed(new Error(`unexpected reply: ${buffer.toString("latin1", 0, Math.min(bytes, 200))}`));
      return false;
    }
    state.received = end;
    if (end < replies.length) return true;
    state.received = 0;
    this.#rounds++;
    if (this.#running) socket.write(this.#batch);
    else if (--this.#outstanding === 0) this.#settled?.();
    return true;
  }
}

function repeat(frame: Buffer, times: number): Buffer {
  return Buffer.concat(Array.from({ length: times }, () => frame));
}
