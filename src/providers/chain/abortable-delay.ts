import type { Clock } from "../../core/clock.ts";
import type { StopSignal } from "../../core/stop-signal.ts";

/** Waits `ms` milliseconds. @throws the signal's reason as soon as the signal aborts */
export function abortableDelay(ms: number, signal: StopSignal, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      stop();
      reject(signal.reason);
    };
    const stop = clock.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
