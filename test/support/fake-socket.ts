import { MAX_CLOSE_REASON_BYTES } from "../../src/protocol/close-codes.ts";
import type { FrameText, SendResult, Socket } from "../../src/session/delivery/socket.ts";

export type Frame = Readonly<Record<string, unknown>>;

/**
 * A socket whose back pressure a test sets. As with the real library a frame that was answered with `queued` is on its
 * way too, and `end` reports the close before it returns.
 */
export class FakeSocket implements Socket {
  /** Frames in order, as they were written. */
  readonly texts: string[] = [];
  /** What the code under test must never do; tests expect it to stay empty. */
  readonly breaches: string[] = [];
  /** How the socket was ended; null while it is open. */
  ended: { readonly code: number; readonly reason: string } | null = null;
  /** Answers each send; the default takes everything. */
  onSend: (text: string) => SendResult = () => "sent";
  /** Told when the socket ends from this side, as the transport is. */
  onEnd: () => void = () => {};
  #buffered = 0;
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /** All frames, decoded. */
  get frames(): Frame[] {
    return this.texts.map((text) => JSON.parse(text) as Frame);
  }

  /** Types of all frames in order. */
  get types(): string[] {
    return this.frames.map(({ type }) => String(type));
  }

  framesOf(type: string): Frame[] {
    return this.frames.filter((frame) => frame["type"] === type);
  }

  /** Forgets the frames so far and returns them. */
  takeFrames(): Frame[] {
    const { frames } = this;
    this.texts.length = 0;
    return frames;
  }

  send(frame: FrameText, head?: Uint8Array): SendResult {
    const text = Buffer.concat([head ?? Buffer.alloc(0), Buffer.from(frame)]).toString();
    if (this.#closed) return "dropped";
    if (this.#buffered > 0) this.breaches.push(`sent while blocked: ${text.slice(0, 60)}`);
    const result = this.onSend(text);
    if (result !== "dropped") this.texts.push(text);
    if (result === "queued") this.#buffered += Buffer.byteLength(text);
    return result;
  }

  bufferedBytes(): number {
    return this.#buffered;
  }

  cork(write: () => void): void {
    write();
  }

  end(code: number, reason: string): void {
    if (this.#closed) return;
    if (Buffer.byteLength(reason) > MAX_CLOSE_REASON_BYTES) this.breaches.push(`reason too long: ${reason}`);
    this.ended = { code, reason };
    this.#closed = true;
    this.onEnd();
  }

  /** The kernel took what was held back. The test then calls the session's `onDrain`, as the transport does. */
  release(): void {
    this.#buffered = 0;
  }

  /** The peer went away. */
  vanish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onEnd();
  }
}
