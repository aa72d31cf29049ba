import { connect } from "node:net";
import type { Counted, LoadClient, RunParameters } from "./load-client.ts";
import { upgradeRequest } from "./wire.ts";

/** Plan of a client that opens sockets and drops them at once, one after the other. */
export interface ConnectPlan {
  readonly kind: "connect";
  readonly port: number;
  readonly path: string;
  /** Number of sockets being opened at the same time. */
  readonly sockets: number;
  /** Whether the server sends a welcome frame. If so, a connect counts once that frame is complete. */
  readonly greets: boolean;
}

const HEAD_END = "\r\n\r\n";
const ACCEPTED = "HTTP/1.1 101 ";

/** Length value of a WebSocket frame whose real length is in the next two bytes. */
const TWO_BYTE_LENGTH = 126;

/** Opens sockets as fast as the server accepts them: TCP, upgrade, welcome, then a reset. */
export class ConnectClient implements LoadClient {
  readonly #plan: ConnectPlan;
  readonly #request: string;
  readonly #failed: (error: Error) => void;
  #running = false;
  #count = 0;

  /** `failed` is called when a socket is refused or lost. */
  constructor(plan: ConnectPlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
    this.#request = upgradeRequest(plan.port, plan.path);
  }

  open(): Promise<void> {
    return this.#connect();
  }

  async run({ ms }: RunParameters): Promise<Counted> {
    this.#count = 0;
    this.#running = true;
    setTimeout(() => (this.#running = false), ms);
    await Promise.all(Array.from({ length: this.#plan.sockets }, () => this.#keepConnecting()));
    return { replies: this.#count, frames: this.#count, bytes: 0 };
  }

  async #keepConnecting(): Promise<void> {
    while (this.#running) {
      await this.#connect();
      this.#count++;
    }
  }

  #connect(): Promise<void> {
    return new Promise((resolve) => {
      let received = Buffer.alloc(0);
      const socket = connect({ port: this.#plan.port, host: "127.0.0.1", noDelay: true });
      socket.on("data", (chunk) => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
        if (!this.#isComplete(received)) return;
        // A reset leaves no port in TIME_WAIT. A bench would run out of ports otherwise.
        socket.resetAndDestroy();
        resolve();
      });
      socket.once("error", this.#failed);
      socket.once("end", () =>
        this.#failed(new Error(`the server closed a socket after sending: ${received.toString("latin1")}`)),
      );
      socket.write(this.#request);
    });
  }

  #isComplete(received: Buffer): boolean {
    const head = received.indexOf(HEAD_END);
    if (head < 0) return false;
    if (!received.toString("latin1", 0, ACCEPTED.length).startsWith(ACCEPTED)) {
      this.#failed(new Error(`the server refused the upgrade: ${received.toString("latin1", 0, head)}`));
      return false;
    }
    const frame = head + HEAD_END.length;
    if (!this.#plan.greets) return true;
    if (received.length < frame + 4) return false;
    const short = received.readUInt8(frame + 1);
    return (
      received.length >= frame + (short < TWO_BYTE_LENGTH ? 2 + short : 4 + received.readUInt16BE(frame + 2))
    );
  }
}
