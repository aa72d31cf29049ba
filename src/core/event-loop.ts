/** What schedulers need of the event loop; a dependency, so that tests can replace it. */
export interface EventLoop {
  /** Calls `callback` at the end of the current turn of the loop, before it waits for events. */
  atEndOfTurn(callback: () => void): void;
  /** Share of the time since the last call in which the loop was busy: 0 (idle) to 1 (saturated). */
  busyShare(): number;
}

/** The event loop of Node.js. Each returned object measures its own `busyShare` intervals. */
export function systemEventLoop(): EventLoop {
  let last = performance.eventLoopUtilization();
  return {
    atEndOfTurn: (callback) => void setImmediate(callback),
    busyShare() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return Number.isFinite(utilization) ? utilization : 0;
    },
  };
}
