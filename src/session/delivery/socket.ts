/** What became of a frame: on its way, behind others until `drain`, or lost because too much waits already. */
export type SendResult = "sent" | "queued" | "dropped";

/** A frame as JSON: text, or its UTF-8 bytes where the same frame is sent again and again. */
export type FrameText = string | Uint8Array;

/** Port: one connected socket. Every method may be called after the end and then does nothing. */
export interface Socket {
  readonly closed: boolean;
  /** Sends one frame. `head` holds UTF-8 bytes that go before `text` in the same frame. */
  send(text: FrameText, head?: Uint8Array): SendResult;
  /** Bytes that wait in this process; what the kernel holds is not seen. */
  bufferedBytes(): number;
  /** Sends what `write` sends in one go. */
  cork(write: () => void): void;
  /** Sends a close frame behind everything that waits, and ends. A `reason` over 123 bytes is cut. */
  end(code: number, reason: string): void;
}
