import { connect, type Socket } from "node:net";
import { upgradeRequest } from "./wire.ts";

/** Opened at a time: a backlog that overflows would cost a second of waiting. */
const GROUP = 100;

const READ_BYTES = 65_536;

export interface OpenOptions {
  readonly port: number;
  /** Path of each socket. */
  readonly paths: readonly string[];
  /** Whether a socket is open, by all that has come of it. May write to it. */
  opened(greeting: Buffer, socket: Socket): boolean;
  /** Takes what comes from then on: the first `bytes` of a buffer that all sockets share. False: reads no more. */
  take(socket: Socket): (bytes: number, buffer: Buffer) => boolean;
  /** Called once a socket is lost, at any time. */
  failed(error: Error): void;
}

/** Opens WebSockets over plain TCP, as cheaply as Node.js can: no copies and no events once they are open. */
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
      lost(new Error(`the server closed a socket; it said: ${greeting.toString("latin1")}`)),
    );
    socket.write(upgradeRequest(port, path));
  });
}
