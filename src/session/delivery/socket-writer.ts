import type { ServerFrameType } from "../../protocol/server-frames.ts";
import type { DeliveryHost } from "./delivery-host.ts";
import { Outbox } from "./outbox.ts";
import type { FrameText, Socket } from "./socket.ts";

/** Why a socket must be closed: a frame was dropped, or the client does not read its frames. */
export type WriteFault = "frame_too_big" | "not_read";

/** The session that a writer belongs to. */
export interface SocketWriterOwner {
  /** Called when the socket must be closed. */
  writeFailed(fault: WriteFault): void;
}

/** Writes the frames of one socket. While the socket is blocked, frames outside of answers wait in the outbox. */
export class SocketWriter {
  readonly #host: DeliveryHost;
  readonly #socket: Socket;
  readonly #owner: SocketWriterOwner;
  #blocked = false;
  #shut = false;
  #outbox: Outbox | null = null;

  constructor(host: DeliveryHost, socket: Socket, owner: SocketWriterOwner) {
    this.#host = host;
    this.#socket = socket;
    this.#owner = owner;
  }

  /** False while the socket is blocked (from a queued send until it has drained), and always after {@link shut}. */
  get writable(): boolean {
    return !this.#blocked && !this.#shut;
  }

  /** Bytes that this process still holds for the socket; 0 after {@link shut}. */
  get unsentBytes(): number {
    return this.#shut ? 0 : this.#socket.bufferedBytes();
  }

  /** Sends one frame, `head` before `text`. Call it only while {@link writable}. */
  send(type: ServerFrameType, text: FrameText, head?: Uint8Array): void {
    if (this.#shut) return;
    this.#host.metrics.frameSent(type);
    const result = this.#socket.send(text, head);
    if (result === "sent") return;
    this.#blocked = true;
    if (result === "queued") return;
    this.#host.logger.error(
      { type, chars: text.length },
      "frame dropped: it did not fit the buffer of the socket",
    );
    this.#owner.writeFailed("frame_too_big");
  }

  /**
   * Sends a frame outside of answers, or keeps it in the outbox while the socket is blocked. There a frame with a
   * `notice` name replaces an older one of the same name.
   */
  deliver(type: ServerFrameType, text: FrameText, notice?: string): void {
    if (this.writable) {
      this.send(type, text);
      return;
    }
    if (this.#shut) return;
    this.#outbox ??= new Outbox();
    if (!this.#outbox.add(type, text, notice)) this.#owner.writeFailed("not_read");
  }

  /** Runs `write` and sends all its frames in one system call. */
  together(write: () => void): void {
    if (!this.writable) return;
    this.#socket.cork(write);
    // Corked sends report "sent" before the bytes reach the kernel.
    if (!this.#shut && this.#socket.bufferedBytes() > 0) this.#blocked = true;
  }

  /** Called when the socket has drained: sends the frames of the outbox, then calls `more`. */
  drained(more: () => void): void {
    if (!this.#blocked || this.#shut || this.#socket.bufferedBytes() > 0) return;
    this.#blocked = false;
    this.together(() => {
      while (this.writable) {
        const frame = this.#outbox?.take();
        if (frame === undefined) break;
        this.deliver(frame.type as ServerFrameType, frame.text);
      }
      more();
    });
  }

  /** Ends the socket because its client does not read. */
  giveUp(): void {
    if (!this.#shut) this.#owner.writeFailed("not_read");
  }

  /** Stops sending permanently. */
  shut(): void {
    this.#shut = true;
  }
}
