import { connect, type Socket } from "node:net";
import { upgradeRequest } from "./wire.ts";

/** Sockets opened at the same time. A backlog that overflows would cost a second of waiting. */
const GROUP = 100;

const READ_BYTES = 65_536;

export interface OpenOptions {
  readonly port: number;
  /** Path of each socket. */
  readonly paths: readonly string[];
  /** Whether a socket is open, judged by all bytes received on it. May write to the socket. */
  opened(greeting: Buffer, socket: Socket): boolean;
  /**
   * Returns the reader of a socket's further data: the first `bytes` of a buffer shared by all sockets. False stops
   * reading.
   */
  take(socket: Socket): (bytes: number, buffer: Buffer) => boolean;
  /** Called when a socket is lost, at any time. */
  failed(error: Error): void;
}

/** Opens WebSockets over plain TCP, as cheaply as Node.js can: without copies and events once they are open. */
export async function openSockets(options: OpenOptions): Promise<Socket[]> {
  const { paths } = options;
  const shared = Buffer.allocUnsafe(READ_BYTES);
  const sockets: Socket[] = [];
  for (let first = 0; first < paths.length; first += GROUP) {
    const group = paths.slice(first, first + GROUP);
    sockets.push(...(await Promise.all(group.map((path) => openOne(path, shared, options)))));
  }
  return sockets;
}

function openOne(path: string, shared: Buffer, options: OpenOptions): Promise<Socket> {
  const { port } = options;
  return new Promise((resolve, reject) => {
    let greeting = Buffer.alloc(0);
    let take: ((bytes: number, buffer: Buffer) => boolean) | null = null;
    const callback = (bytes: number, buffer: Uint8Array): boolean => {
      if (take !== null) return take(bytes, buffer as Buffer);
      greeting = Buffer.concat([greeting, buffer.subarray(0, bytes)]);
      if (!options.opened(greeting, socket)) return true;
      take = options.take(socket);
      greeting = Buffer.alloc(0);
      resolve(socket);
      return true;
    };
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: shared, callback } });
    const lost = (error: Error): void => {
      reject(error);
      options.failed(error);
    };
    socket.once("error", lost);
    socket.once("end", () =>
      lost(new Error(`the server closed a socket after sending: ${greeting.toString("latin1")}`)),
    );
    socket.write(upgradeRequest(port, path));
  });
}
