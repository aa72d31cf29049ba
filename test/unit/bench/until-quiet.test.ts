import { expect, it } from "vitest";
import { untilQuiet } from "../../bench/harness/until-quiet.ts";

/** CPU readings of a process that uses a core for `windows` windows and is idle afterwards. */
function busyFor(windows: number) {
  const seen = { readings: 0 };
  let used = 3;
  const cpuSeconds = (): number => {
    if (seen.readings++ > 0 && seen.readings <= windows + 1) used += 1;
    return used;
  };
  return { seen, cpuSeconds };
}

it("waits until a process is idle, and does not wait for an idle process", async () => {
  for (const windows of [0, 1, 5]) {
    const { seen, cpuSeconds } = busyFor(windows);
    await untilQuiet("server", cpuSeconds, { windowMs: 1 });
    // One reading before the first window and one after each window, including the idle one.
    expect(seen.readings).toBe(windows + 2);
  }
});

it("throws if a server never becomes idle", async () => {
  const { cpuSeconds } = busyFor(Infinity);
  const waiting = untilQuiet("llama-server", cpuSeconds, { windowMs: 1, withinMs: 20 });
  await expect(waiting).rejects.toThrow("llama-server is still busy 0.02 s after its last answer.");
});
