import { setTimeout as pause } from "node:timers/promises";

/** A process that uses less than this share of a core has nothing left to do. */
const QUIET_SHARE = 0.1;

export interface QuietOptions {
  /** Over which the share is taken; the exactness of the readings must be small beside it. */
  readonly windowMs?: number;
  readonly withinMs?: number;
}

/**
 * Waits until whoever was driven has done with what it was told to do. A server may work on for a while at answers that
 * nobody reads any more, and whoever is measured next would pay for it.
 *
 * @param cpuSeconds CPU time used so far
 * @throws Error when it is still busy after `withinMs`.
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
