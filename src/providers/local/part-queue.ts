import type { StreamPart } from "../provider.ts";

/** Parts between the channel and the reader of one stream: one push each, and one promise for all that have gathered. */
export class PartQueue {
  private parts: StreamPart[] = [];
  private ended = false;
  private error: unknown;
  private wake: (() => void) | undefined;

  push(part: StreamPart): void {
    this.parts.push(part);
    this.wake?.();
  }

  /** Ends the stream; parts that were not taken are dropped. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    this.wake?.();
  }

  /** Throws what ended the stream, if anything has. */
  check(): void {
    if (this.ended) throw this.error;
  }

  /** What has gathered, at least one part. @throws what {@link fail} was given. */
  async take(): Promise<readonly StreamPart[]> {
    while (this.parts.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    this.check();
    const taken = this.parts;
    this.parts = [];
    return taken;
  }
}
