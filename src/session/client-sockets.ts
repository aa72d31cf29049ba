import type { Metrics } from "../core/metrics.ts";
import type { CloseReason } from "../protocol/close-codes.ts";
import type { NoticeFrame } from "../protocol/server-frames.ts";

/** A socket that can be closed to admit a newer one of the same client, and that receives the notices of its client. */
export interface ClientSocket {
  close(reason: CloseReason, text: string): void;
  notify(event: NoticeFrame["event"], message: string): void;
}

export interface ClientSocketsOptions {
  /** Maximum number of simultaneous sockets of one client. */
  readonly maxPerClient: number;
  /** Over the limit: true closes the oldest socket with 4409, false refuses the new one. */
  readonly replaceOldest: boolean;
  readonly metrics: Metrics;
  /** Called when a client opens its first socket (true) or closes its last one (false). */
  readonly connectedChanged?: (client: string, connected: boolean) => void;
}

/** The sockets of each client, oldest first. A single socket, the usual case, is stored without an array. */
export class ClientSockets {
  readonly #options: ClientSocketsOptions;
  readonly #sockets = new Map<string, ClientSocket | ClientSocket[]>();

  constructor(options: ClientSocketsOptions) {
    this.#options = options;
  }

  /** Number of clients that have a socket. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Whether the client has a socket. */
  has(client: string): boolean {
    return this.#sockets.has(client);
  }

  /** Whether one more socket of the client would be refused. */
  isFull(client: string): boolean {
    const { maxPerClient, replaceOldest } = this.#options;
    return !replaceOldest && this.#count(client) >= maxPerClient;
  }

  /** Adds a socket. Over the limit the oldest one is closed, or false is returned and nothing changes. */
  enter(client: string, socket: ClientSocket): boolean {
    const { maxPerClient, replaceOldest, metrics } = this.#options;
    while (this.#count(client) >= maxPerClient) {
      metrics.limitHit("client_connections");
      if (!replaceOldest) return false;
      const held = this.#sockets.get(client) as ClientSocket | ClientSocket[];
      const oldest = (Array.isArray(held) ? held[0] : held) as ClientSocket;
      this.leave(client, oldest);
      oldest.close("replaced", "replaced by a newer connection of this client");
    }
    const held = this.#sockets.get(client);
    if (held === undefined) {
      this.#sockets.set(client, socket);
      this.#options.connectedChanged?.(client, true);
    } else if (Array.isArray(held)) held.push(socket);
    else this.#sockets.set(client, [held, socket]);
    return true;
  }

  /** Sends a notice to all sockets of a client. */
  notify(client: string, event: NoticeFrame["event"], message: string): void {
    for (const socket of [this.#sockets.get(client) ?? []].flat()) socket.notify(event, message);
  }

  /** Removes a socket that closed or now belongs to another client. May be repeated. */
  leave(client: string, socket: ClientSocket): void {
    const held = this.#sockets.get(client);
    if (held === socket) {
      this.#delete(client);
    } else if (Array.isArray(held)) {
      const index = held.indexOf(socket);
      if (index >= 0) held.splice(index, 1);
      if (held.length === 0) this.#delete(client);
    }
  }

  #delete(client: string): void {
    this.#sockets.delete(client);
    this.#options.connectedChanged?.(client, false);
  }

  #count(client: string): number {
    const held = this.#sockets.get(client);
    if (held === undefined) return 0;
    return Array.isArray(held) ? held.length : 1;
  }
}
