/** The event loop of this process, as far as schedulers need it; an argument, so that tests can stand in for it. */
export interface EventLoop {
  /** Runs `callback` after everything of the present turn of the loop, before it waits for news. */
  atEndOfTurn(callback: () => void): void;
  /** Share of the time since the last call, 0 to 1, in which the loop did not wait: 1 is a loop that is full. */
  busyShare(): number;
}

/** The loop of Node.js. Each call of this function makes a reader with its own "last call". */
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
