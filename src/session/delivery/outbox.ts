import type { FrameText } from "./socket.ts";

/** Maximum number of waiting frames. */
const MAX_FRAMES = 64;

/** Maximum bytes of all waiting frames together. */
const MAX_BYTES = 16_384;

interface WaitingFrame {
  readonly type: string;
  readonly text: FrameText;
  readonly notice: string | undefined;
}

/** Frames outside of answers that wait while the socket is blocked: errors, pongs, notices, replies. */
export class Outbox {
  #frames: WaitingFrame[] = [];
  #bytes = 0;

  get size(): number {
    return this.#frames.length;
  }

  /**
   * Adds a frame. A frame with a `notice` name replaces a waiting one of the same name; other frames (errors, pongs,
   * replies) are never replaced. Returns false if the outbox is full: 64 frames or 16 KiB.
   */
  add(type: string, text: FrameText, notice?: string): boolean {
    if (notice !== undefined) this.#remove(notice);
    const bytes = Buffer.byteLength(text);
    if (this.#frames.length >= MAX_FRAMES || this.#bytes + bytes > MAX_BYTES) return false;
    this.#frames.push({ type, text, notice });
    this.#bytes += bytes;
    return true;
  }

  /** Removes and returns the oldest frame. */
  take(): { readonly type: string; readonly text: FrameText } | undefined {
    const frame = this.#frames.shift();
    if (frame !== undefined) this.#bytes -= Buffer.byteLength(frame.text);
    return frame;
  }

  #remove(notice: string): void {
    this.#frames = this.#frames.filter((frame) => {
      if (frame.notice !== notice) return true;
      this.#bytes -= Buffer.byteLength(frame.text);
      return false;
    });
  }
}
