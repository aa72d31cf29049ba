import type { ServerFrameType } from "../../protocol/server-frames.ts";
import { Outbox } from "./outbox.ts";
import type { SessionHost } from "../session-host.ts";
import type { FrameText, Socket } from "./socket.ts";

/** Told when the socket cannot go on. */
export type WriteFault = "frame_too_big" | "not_read";

/** Whose outlet it is. */
export interface SocketWriterOwner {
  writeFailed(fault: WriteFault): void;
}

/** The way out of one socket: what may be written now is written, frames outside any answer wait in the outbox. */
export class SocketWriter {
  readonly #host: SessionHost;
  readonly #socket: Socket;
  readonly #owner: SocketWriterOwner;
  #blocked = false;
  #shut = false;
  #outbox: Outbox | null = null;

  constructor(host: SessionHost, socket: Socket, owner: SocketWriterOwner) {
    this.#host = host;
    this.#socket = socket;
    this.#owner = owner;
  }

  /** False from the moment the socket holds bytes back until it has drained, and for good after {@link shut}. */
  get writable(): boolean {
    return !this.#blocked && !this.#shut;
  }

  /** Writes a frame, `head` before `text`; only while {@link writable}. */
  send(type: ServerFrameType, text: FrameText, head?: Uint8Array): void {
    if (this.#shut) return;
    this.#host.metrics.frameSent(type);
    const result = this.#socket.send(text, head);
    if (result === "sent") return;
    this.#blocked = true;
    if (result === "queued") return;
    this.#host.logger.error({ type, chars: text.length }, "a frame did not fit the socket's buffer");
    this.#owner.writeFailed("frame_too_big");
  }

  /**
   * A frame outside any answer: sent now, or kept in the outbox while the socket holds bytes back. `notice` names news of
   * which only the newest counts.
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

  /** Runs `write` so that all it sends leaves in one go. */
  together(write: () => void): void {
    if (!this.writable) return;
    this.#socket.cork(write);
    // What is sent in one go is told as sent before anybody knows.
    if (!this.#shut && this.#socket.bufferedBytes() > 0) this.#blocked = true;
  }

  /** The socket can take more; sends what waits in the outbox and then calls `more`. */
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

  /** Nothing leaves any more. */
  shut(): void {
    this.#shut = true;
  }
}
