import type { EventLoop } from "../../src/core/event-loop.ts";

/** An event loop whose busy share is set by a test. Its turns are those of the real loop: `settle` waits for them. */
export class FakeEventLoop implements EventLoop {
  /** Busy share, 0 to 1. */
  busy = 0;

  atEndOfTurn(callback: () => void): void {
    setImmediate(callback);
  }

  busyShare(): number {
    return this.busy;
  }
}
