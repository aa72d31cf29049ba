import type { Socket } from "node:net";
import type { Counted, LoadClient } from "./load-client.ts";
import { openSockets } from "./open-sockets.ts";

/** Plan of a client whose sockets are opened and then send nothing. */
export interface IdlePlan {
  readonly kind: "idle";
  readonly port: number;
  /** One socket is opened per path. */
  readonly paths: readonly string[];
  /** Whether the server sends a welcome frame. */
  readonly greets: boolean;
}

export class IdleClient implements LoadClient {
  readonly #plan: IdlePlan;
  readonly #failed: (error: Error) => void;
  #sockets: readonly Socket[] = [];

  constructor(plan: IdlePlan, failed: (error: Error) => void) {
    this.#plan = plan;
    this.#failed = failed;
  }

  async open(): Promise<void> {
    const { port, paths, greets } = this.#plan;
    this.#sockets = await openSockets({
      port,
      paths,
      opened: (greeting) => {
        if (!greeting.toString("latin1", 0, 13).startsWith("HTTP/1.1 101 ")) return false;
        return greeting.includes(greets ? '"welcome"' : "\r\n\r\n");
      },
      take: () => () => true,
      failed: this.#failed,
    });
  }

  /** Counts the sockets that are still open, as replies. */
  run(): Promise<Counted> {
    const replies = this.#sockets.filter((socket) => !socket.destroyed).length;
    return Promise.resolve({ replies, frames: 0, bytes: 0 });
  }
}
