import { MAX_CLOSE_REASON_BYTES } from "../../src/protocol/close-codes.ts";
import type { FrameText, SendResult, Socket } from "../../src/session/delivery/socket.ts";

/** A decoded frame. */
export type Frame = Readonly<Record<string, unknown>>;

/**
 * A socket whose back pressure is set by a test. As with the real library, a frame with the result `queued` will be
 * sent too, and `end` reports the close before it returns.
 */
export class FakeSocket implements Socket {
  /** Texts of the frames, in order. */
  readonly texts: string[] = [];
  /** Violations of the socket's contract by the code under test; tests expect none. */
  readonly breaches: string[] = [];
  /** How the server ended the socket; null while it is open. */
  ended: { readonly code: number; readonly reason: string } | null = null;
  /** Determines the result of each send; the default is `sent`. */
  onSend: (text: string) => SendResult = () => "sent";
  /** Called when the socket closes. */
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

  /** Removes and returns the frames so far. */
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

  terminate(): void {
    this.end(1006, "");
  }

  end(code: number, reason: string): void {
    if (this.#closed) return;
    if (Buffer.byteLength(reason) > MAX_CLOSE_REASON_BYTES) this.breaches.push(`reason too long: ${reason}`);
    this.ended = { code, reason };
    this.#closed = true;
    this.onEnd();
  }

  /** Takes some of the unsent bytes, as a slow reader does. */
  read(bytes: number): void {
    this.#buffered = Math.max(0, this.#buffered - bytes);
  }

  /** Releases the unsent bytes. The test then calls the session's `onDrain`, as the transport does. */
  release(): void {
    this.#buffered = 0;
  }

  /** Closes the socket as if the peer had disconnected. */
  vanish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.onEnd();
  }
}
