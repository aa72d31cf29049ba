import type { WebSocket } from "uWebSockets.js";
import type { Clock } from "../../core/clock.ts";
import type { BufferAccount, BufferHolder } from "../../session/delivery/buffer-account.ts";
import type { FrameText, SendResult, Socket } from "../../session/delivery/socket.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** Results by the return value of uWebSockets.js' `send`: 0, 1, 2. */
const sendResults: readonly SendResult[] = ["queued", "sent", "dropped"];

/** Time in which a client must read some of the unsent bytes that precede a close frame, in milliseconds. */
const END_PROGRESS_MS = 15_000;

/** Time for a client to read all of them, in milliseconds. */
const END_DEADLINE_MS = 30_000;

/** Shared by all sockets of a transport. */
export interface SocketHost {
  readonly buffers: BufferAccount;
  readonly clock: Clock;
  readonly encoder: WireEncoder;
  /** Called when a socket is ended while unsent bytes precede its close frame. */
  endedWithBytes(): void;
}

/** A close frame that waits until the bytes before it are sent. */
interface Ending {
  readonly code: number;
  readonly reason: string;
  /** `Clock.now()` at which the socket is cut. */
  readonly deadline: number;
  /** Unsent bytes at the last check. */
  bytes: number;
  stopTimer: () => void;
}

/**
 * Wraps a socket of uWebSockets.js. Methods of the library's socket throw once it has ended; the methods of this class
 * can be called at any time.
 */
export class UwsSocket<UserData> implements Socket, BufferHolder {
  readonly address: string;
  readonly #host: SocketHost;
  #ws: WebSocket<UserData> | null;
  #hasUnsentBytes = false;
  #ending: Ending | null = null;
  /** Called when this socket must be closed to free memory; the transport sets it. */
  closeToFreeMemory: () => void = () => {};

  /** `address`: the account key that is charged for the socket. */
  constructor(ws: WebSocket<UserData>, address: string, host: SocketHost) {
    this.#ws = ws;
    this.address = address;
    this.#host = host;
  }

  get closed(): boolean {
    return this.#ws === null;
  }

  /** Whether the socket only waits for its last bytes to be sent; it takes no more frames. */
  get ending(): boolean {
    return this.#ending !== null;
  }

  /** Called by the close handler: the library's object must not be used after that. */
  markClosed(): void {
    this.#ws = null;
    this.#ending?.stopTimer();
    this.#account(0);
  }

  send(text: FrameText, head?: Uint8Array): SendResult {
    if (this.#ws === null || this.#ending !== null) return "dropped";
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

  // The library reports a socket as closed as soon as it is ended, although its unsent bytes stay in memory until the
  // client reads them or the idle timeout passes. So the socket is not ended before they are sent.
  end(code: number, reason: string): void {
    if (this.#ws === null || this.#ending !== null) return;
    const bytes = this.bufferedBytes();
    if (bytes === 0) {
      this.#ws.end(code, this.#host.encoder.closeReason(reason));
      return;
    }
    const { clock } = this.#host;
    this.#host.endedWithBytes();
    this.#ending = { code, reason, deadline: clock.now() + END_DEADLINE_MS, bytes, stopTimer() {} };
    this.#checkLater(this.#ending);
  }

  terminate(): void {
    this.#ws?.close();
  }

  /** Called when the socket has drained: sends the close frame if {@link ending}. Returns whether it is ending. */
  drained(): boolean {
    const bytes = this.bufferedBytes();
    if (this.#ending === null) return false;
    const { code, reason } = this.#ending;
    if (bytes === 0) this.#ws?.end(code, this.#host.encoder.closeReason(reason));
    return true;
  }

  /** Cuts the socket if its client has read nothing since the last check, or if its deadline has passed. */
  #checkLater(ending: Ending): void {
    const { clock } = this.#host;
    const ms = Math.min(END_PROGRESS_MS, ending.deadline - clock.now());
    ending.stopTimer = clock.after(Math.ceil(ms), () => {
      const bytes = this.bufferedBytes();
      if (bytes >= ending.bytes || clock.now() >= ending.deadline) {
        this.terminate();
        return;
      }
      ending.bytes = bytes;
      this.#checkLater(ending);
    });
  }

  // A socket without unsent bytes, by far the most common case, needs no look-up.
  #account(bytes: number): void {
    if (bytes === 0 && !this.#hasUnsentBytes) return;
    this.#hasUnsentBytes = bytes > 0;
    this.#host.buffers.set(this, bytes);
  }
}
