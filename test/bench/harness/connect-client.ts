import { connect } from "node:net";
import type { Counted, LoadClient, RunOrder } from "./load-client.ts";
import { upgradeRequest } from "./wire.ts";

/** Sockets that are opened and dropped, one after the other. */
export interface ConnectPlan {
  readonly kind: "connect";
  readonly port: number;
  readonly path: string;
  /** Sockets that are being opened at a time. */
  readonly sockets: number;
  /** Whether the server greets with a frame; then a connect counts once that is whole. */
  readonly greets: boolean;
}

const HEAD_END = "\r\n\r\n";
const ACCEPTED = "HTTP/1.1 101 ";

/** A length of 126 says that the next two bytes hold it. */
const TWO_BYTE_LENGTH = 126;

/** Opens sockets as fast as the server takes them: TCP, upgrade, greeting, then a reset. */
export class ConnectClient implements LoadClient {
  readonly #plan: ConnectPlan;
  readonly #request: string;
  readonly #failed: (error: Error) => void;
  #running = false;
  #count = 0;

  /** `failed` is called once a socket is refused or lost. */
  constructor(plan: ConnectPlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
    this.#request = upgradeRequest(plan.port, plan.path);
  }

  open(): Promise<void> {
    return this.#connect();
  }

  async run({ ms }: RunOrder): Promise<Counted> {
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
      let got = Buffer.alloc(0);
      const socket = connect({ port: this.#plan.port, host: "127.0.0.1", noDelay: true });
      socket.on("data", (chunk) => {
        got = got.length === 0 ? chunk : Buffer.concat([got, chunk]);
        if (!this.#whole(got)) return;
        // A reset leaves no port in TIME_WAIT: a bench would run out of them.
        socket.resetAndDestroy();
        resolve();
      });
      socket.once("error", this.#failed);
      socket.once("end", () =>
        this.#failed(new Error(`the server closed a socket; it said: ${got.toString("latin1")}`)),
      );
      socket.write(this.#request);
    });
  }

  #whole(got: Buffer): boolean {
    const head = got.indexOf(HEAD_END);
    if (head < 0) return false;
    if (!got.toString("latin1", 0, ACCEPTED.length).startsWith(ACCEPTED)) {
      this.#failed(new Error(`not upgraded: ${got.toString("latin1", 0, head)}`));
      return false;
    }
    const frame = head + HEAD_END.length;
    if (!this.#plan.greets) return true;
    if (got.length < frame + 4) return false;
    const short = got.readUInt8(frame + 1);
    return got.length >= frame + (short < TWO_BYTE_LENGTH ? 2 + short : 4 + got.readUInt16BE(frame + 2));
  }
}
