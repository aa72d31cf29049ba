/** Result of a send: `sent`; `queued` until the socket drains; or `dropped`, because the buffer is full. */
export type SendResult = "sent" | "queued" | "dropped";

/** A frame as JSON: text, or UTF-8 bytes for a frame that is sent many times. */
export type FrameText = string | Uint8Array;

/** Port: one connected socket. After the socket has ended, every method may be called and does nothing. */
export interface Socket {
  readonly closed: boolean;
  /** Sends one frame. `head` holds UTF-8 bytes that precede `text` in the same frame. */
  send(text: FrameText, head?: Uint8Array): SendResult;
  /** Unsent bytes in this process; bytes in the kernel's buffers are not visible. */
  bufferedBytes(): number;
  /** Runs `write` and sends all its frames in one system call. */
  cork(write: () => void): void;
  /** Sends a close frame after all unsent bytes and closes the socket. A `reason` over 123 bytes is truncated. */
  end(code: number, reason: string): void;
  /** Closes the socket at once, without a close frame, and discards its unsent bytes. */
  terminate(): void;
}
