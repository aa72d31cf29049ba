import { connect, type Socket } from "node:net";
import type { Counted, LoadClient } from "./load-client.ts";
import { upgradeRequest } from "./wire.ts";

/** Sockets that are opened and then say nothing. */
export interface IdlePlan {
  readonly kind: "idle";
  readonly port: number;
  /** One socket for each. */
  readonly paths: readonly string[];
  /** Whether the server greets with a frame. */
  readonly greets: boolean;
}

/** Opened at a time: a backlog that overflows would cost a second of waiting. */
const GROUP = 50;

const READ_BYTES = 8192;

export class IdleClient implements LoadClient {
  readonly #plan: IdlePlan;
  readonly #failed: (error: Error) => void;
  readonly #sockets: Socket[] = [];

  constructor(plan: IdlePlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
  }

  async open(): Promise<void> {
    const { paths } = this.#plan;
    for (let first = 0; first < paths.length; first += GROUP) {
      this.#sockets.push(
        ...(await Promise.all(paths.slice(first, first + GROUP).map((path) => this.#open(path)))),
      );
    }
  }

  /** The sockets that are still open. */
  run(): Promise<Counted> {
    const replies = this.#sockets.filter((socket) => !socket.destroyed).length;
    return Promise.resolve({ replies, frames: 0, bytes: 0 });
  }

  #open(path: string): Promise<Socket> {
    const { port, greets } = this.#plan;
    return new Promise((resolve) => {
      let got = "";
      let open = false;
      const callback = (bytes: number, buffer: Uint8Array): boolean => {
        if (open) return true;
        got += Buffer.from(buffer).toString("latin1", 0, bytes);
        open =
          got.startsWith("HTTP/1.1 101 ") && (greets ? got.includes('"welcome"') : got.includes("\r\n\r\n"));
        if (open) resolve(socket);
        return true;
      };
      const onread = { buffer: Buffer.allocUnsafe(READ_BYTES), callback };
      const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread });
      socket.once("error", this.#failed);
      socket.once("end", () => this.#failed(new Error(`the server closed a socket; it said: ${got}`)));
      socket.write(upgradeRequest(port, path));
    });
  }
}
