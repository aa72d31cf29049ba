/** Frames that belong to no answer and wait for a blocked socket: errors, pongs, notices. */
export class Outbox {
  #frames: { readonly kind: string; readonly text: string }[] = [];
  #bytes = 0;

  get size(): number {
    return this.#frames.length;
  }

  /**
   * Keeps a frame. A notice of a kind that waits already takes its place; errors and pongs are never merged.
   * False when the box is full: 64 frames or 16 KiB.
   */
  add(kind: string, text: string): boolean {
    if (kind === "system") this.#removeKind(kind);
    const bytes = Buffer.byteLength(text);
    if (this.#frames.length >= MAX_FRAMES || this.#bytes + bytes > MAX_BYTES) return false;
    this.#frames.push({ kind, text });
    this.#bytes += bytes;
    return true;
  }

  /** The frame that waits longest. */
  take(): { readonly kind: string; readonly text: string } | undefined {
    const frame = this.#frames.shift();
    if (frame !== undefined) this.#bytes -= Buffer.byteLength(frame.text);
    return frame;
  }

  #removeKind(kind: string): void {
    this.#frames = this.#frames.filter((frame) => {
      if (frame.kind !== kind) return true;
      this.#bytes -= Buffer.byteLength(frame.text);
      return false;
    });
  }
}

const MAX_FRAMES = 64;
const MAX_BYTES = 16_384;
