import { expect, it } from "vitest";
import { untilQuiet } from "../../bench/harness/until-quiet.ts";

/** Readings of a process that uses a core during so many windows and nothing after them. */
function busyFor(windows: number) {
  const seen = { readings: 0 };
  let used = 3;
  const cpuSeconds = (): number => {
    if (seen.readings++ > 0 && seen.readings <= windows + 1) used += 1;
    return used;
  };
  return { seen, cpuSeconds };
}

it("waits as long as a process works on, and not for one that does nothing", async () => {
  for (const windows of [0, 1, 5]) {
    const { seen, cpuSeconds } = busyFor(windows);
    await untilQuiet("server", cpuSeconds, { windowMs: 1 });
    // One before the first window, and one after each, the quiet one included.
    expect(seen.readings).toBe(windows + 2);
  }
});

it("tells of a server that never comes to rest", async () => {
  const { cpuSeconds } = busyFor(Infinity);
  const waiting = untilQuiet("llama-server", cpuSeconds, { windowMs: 1, withinMs: 20 });
  await expect(waiting).rejects.toThrow("llama-server is still busy 0.02 s after its last answer.");
});
