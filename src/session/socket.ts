/** What became of a frame: on its way, behind others until `drain`, or lost because too much waits already. */
export type SendResult = "sent" | "queued" | "dropped";

/** Port: one connected socket. Every method may be called after the end and then does nothing. */
export interface Socket {
  readonly closed: boolean;
  send(text: string): SendResult;
  /** Bytes that wait in this process; what the kernel holds is not seen. */
  bufferedBytes(): number;
  /** Sends what `write` sends in one go. */
  cork(write: () => void): void;
  /** Sends a close frame behind everything that waits, and ends. `reason` is at most 123 bytes. */
  end(code: number, reason: string): void;
}
