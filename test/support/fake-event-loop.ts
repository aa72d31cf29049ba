import type { EventLoop } from "../../src/core/event-loop.ts";

/** The event loop with a busy share that a test sets. Its turns are those of the real one: `settle` waits for them. */
export class FakeEventLoop implements EventLoop {
  busy = 0;

  atEndOfTurn(callback: () => void): void {
    setImmediate(callback);
  }

  busyShare(): number {
    return this.busy;
  }
}
