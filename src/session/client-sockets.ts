import type { Metrics } from "../core/metrics.ts";
import type { CloseReason } from "../protocol/close-codes.ts";

/** As far as its client's other sockets are concerned. */
export interface ClientSocket {
  close(reason: CloseReason, text: string): void;
}

export interface ClientSocketsOptions {
  /** Sockets of one client at a time. */
  readonly maxPerClient: number;
  /** Whether one more makes the oldest leave (4409); else it is refused. */
  readonly replaceOldest: boolean;
  readonly metrics: Metrics;
}

/** The sockets of each client, oldest first. Nearly every client has one, so that one costs no list. */
export class ClientSockets {
  readonly #options: ClientSocketsOptions;
  readonly #sockets = new Map<string, ClientSocket | ClientSocket[]>();

  constructor(options: ClientSocketsOptions) {
    this.#options = options;
  }

  /** Clients with a socket. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Whether one more socket of the client would be refused. */
  isFull(client: string): boolean {
    const { maxPerClient, replaceOldest } = this.#options;
    return !replaceOldest && this.#count(client) >= maxPerClient;
  }

  /** Counts a socket; over the limit the oldest one leaves, or false is returned and nothing has changed. */
  enter(client: string, socket: ClientSocket): boolean {
    const { maxPerClient, replaceOldest, metrics } = this.#options;
    while (this.#count(client) >= maxPerClient) {
      metrics.limitHit("client_connections");
      if (!replaceOldest) return false;
      const held = this.#sockets.get(client) as ClientSocket | ClientSocket[];
      const oldest = (Array.isArray(held) ? held[0] : held) as ClientSocket;
      this.leave(client, oldest);
      oldest.close("replaced", "a newer socket of yours took its place");
    }
    const held = this.#sockets.get(client);
    if (held === undefined) this.#sockets.set(client, socket);
    else if (Array.isArray(held)) held.push(socket);
    else this.#sockets.set(client, [held, socket]);
    return true;
  }

  /** The socket is gone or became another client's. Harmless when repeated. */
  leave(client: string, socket: ClientSocket): void {
    const held = this.#sockets.get(client);
    if (held === socket) {
      this.#sockets.delete(client);
    } else if (Array.isArray(held)) {
      const index = held.indexOf(socket);
      if (index >= 0) held.splice(index, 1);
      if (held.length === 0) this.#sockets.delete(client);
    }
  }

  #count(client: string): number {
    const held = this.#sockets.get(client);
    if (held === undefined) return 0;
    return Array.isArray(held) ? held.length : 1;
  }
}
