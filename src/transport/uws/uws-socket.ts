import type { WebSocket } from "uWebSockets.js";
import type { BufferAccount, BufferHolder } from "../../session/delivery/buffer-account.ts";
import type { FrameText, SendResult, Socket } from "../../session/delivery/socket.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** Results by the return value of uWebSockets.js' `send`: 0, 1, 2. */
const sendResults: readonly SendResult[] = ["queued", "sent", "dropped"];

/** Shared by all sockets of a transport. */
export interface SocketHost {
  readonly buffers: BufferAccount;
  readonly encoder: WireEncoder;
  /** Called when a socket is ended while unsent bytes precede its close frame. */
  endedWithBytes(): void;
}

/**
 * Wraps a socket of uWebSockets.js. Methods of the library's socket throw once it has ended; the methods of this class
 * can be called at any time.
 */
export class UwsSocket<UserData> implements Socket, BufferHolder {
  readonly #host: SocketHost;
  #ws: WebSocket<UserData> | null;
  #hasUnsentBytes = false;
  /** Called when this socket must be closed to free memory; the transport sets it. */
  closeToFreeMemory: () => void = () => {};

  constructor(ws: WebSocket<UserData>, host: SocketHost) {
    this.#ws = ws;
    this.#host = host;
  }

  get closed(): boolean {
    return this.#ws === null;
  }

  /** Called by the close handler: the library's object must not be used after that. */
  markClosed(): void {
    this.#ws = null;
    this.#account(0);
  }

  send(text: FrameText, head?: Uint8Array): SendResult {
    if (this.#ws === null) return "dropped";
    const result = sendResults[this.#ws.send(this.#host.encoder.encode(text, head))] ?? "dropped";
    if (result === "queued") this.bufferedBytes();
    return result;
  }

  bufferedBytes(): number {
    const bytes = this.#ws?.getBufferedAmount() ?? 0;
    this.#account(bytes);
    return bytes;
  }

  cork(write: () => void): void {
    if (this.#ws === null) write();
    else this.#ws.cork(write);
  }

  end(code: number, reason: string): void {
    if (this.bufferedBytes() > 0) this.#host.endedWithBytes();
    this.#ws?.end(code, this.#host.encoder.closeReason(reason));
  }

  // A socket without unsent bytes, by far the most common case, needs no look-up.
  #account(bytes: number): void {
    if (bytes === 0 && !this.#hasUnsentBytes) return;
    this.#hasUnsentBytes = bytes > 0;
    this.#host.buffers.set(this, bytes);
  }
}
