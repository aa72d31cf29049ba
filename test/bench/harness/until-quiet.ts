import { setTimeout as pause } from "node:timers/promises";

/** A process that uses less than this share of a core counts as idle. */
const QUIET_SHARE = 0.1;

export interface QuietOptions {
  /**
   * Window over which the share is measured, in milliseconds. Must be long compared with the resolution of the
   * readings.
   */
  readonly windowMs?: number;
  /** Longest wait, in milliseconds. */
  readonly withinMs?: number;
}

/**
 * Waits until a server is idle. A server may keep generating cancelled answers for a while, which would disturb the
 * next measurement.
 *
 * @param cpuSeconds returns the CPU time that the server has used so far, in seconds
 * @throws Error if it is still busy after `withinMs`.
 */
export async function untilQuiet(
  name: string,
  cpuSeconds: () => number,
  { windowMs = 500, withinMs = 60_000 }: QuietOptions = {},
): Promise<void> {
  const end = performance.now() + withinMs;
  let at = performance.now();
  let used = cpuSeconds();
  while (at < end) {
    await pause(windowMs);
    const nowAt = performance.now();
    const nowUsed = cpuSeconds();
    if (((nowUsed - used) * 1000) / (nowAt - at) < QUIET_SHARE) return;
    at = nowAt;
    used = nowUsed;
  }
  throw new Error(`${name} is still busy ${withinMs / 1000} s after its last answer.`);
}
