import type { FrameText } from "./socket.ts";

const MAX_FRAMES = 64;
const MAX_BYTES = 16_384;

interface WaitingFrame {
  readonly type: string;
  readonly text: FrameText;
  readonly notice: string | undefined;
}

/** Frames that belong to no answer and wait for a blocked socket: errors, pongs, notices, replies. */
export class Outbox {
  #frames: WaitingFrame[] = [];
  #bytes = 0;

  get size(): number {
    return this.#frames.length;
  }

  /**
   * Keeps a frame. `notice` names news of which only the newest counts: it takes the place of one that waits already;
   * everything else (errors, pongs, replies) is never merged. False when the box is full: 64 frames or 16 KiB.
   */
  add(type: string, text: FrameText, notice?: string): boolean {
    if (notice !== undefined) this.#remove(notice);
    const bytes = Buffer.byteLength(text);
    if (this.#frames.length >= MAX_FRAMES || this.#bytes + bytes > MAX_BYTES) return false;
    this.#frames.push({ type, text, notice });
    this.#bytes += bytes;
    return true;
  }

  /** The frame that waits longest. */
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
