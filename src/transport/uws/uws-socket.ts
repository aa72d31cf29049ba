import type { WebSocket } from "uWebSockets.js";
import type { BufferAccount, BufferHolder } from "../../session/delivery/buffer-account.ts";
import type { FrameText, SendResult, Socket } from "../../session/delivery/socket.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** By uWebSockets.js' numbers. */
const sendResults: readonly SendResult[] = ["queued", "sent", "dropped"];

/** What all sockets of a transport share. */
export interface SocketHost {
  readonly buffers: BufferAccount;
  readonly encoder: WireEncoder;
  /** A socket was ended while bytes waited before its close frame. */
  endedWithBytes(): void;
}

/** A socket of uWebSockets.js that may be called after its end: the library throws then. */
export class UwsSocket<UserData> implements Socket, BufferHolder {
  readonly #host: SocketHost;
  #ws: WebSocket<UserData> | null;
  #holds = false;
  /** What to do when this socket holds too much. */
  closeToFreeMemory: () => void = () => {};

  constructor(ws: WebSocket<UserData>, host: SocketHost) {
    this.#ws = ws;
    this.#host = host;
  }

  get closed(): boolean {
    return this.#ws === null;
  }

  /** Called from the close handler: from here on the library's object is dead. */
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

  // Nearly all sockets hold nothing nearly always: that costs no look-up.
  #account(bytes: number): void {
    if (bytes === 0 && !this.#holds) return;
    this.#holds = bytes > 0;
    this.#host.buffers.set(this, bytes);
  }
}
