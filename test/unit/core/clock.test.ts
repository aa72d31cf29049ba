import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";

describe("systemClock", () => {
  it("calls back once, not too early, and not after it was cancelled", async () => {
    const begin = systemClock.now();
    const calls: string[] = [];
    const cancel = systemClock.after(5, () => calls.push("cancelled"));
    cancel();
    const at = await new Promise<number>((resolve) => {
      systemClock.after(20, () => {
        calls.push("kept");
        resolve(systemClock.now());
      });
      // The clock does not keep the process alive, so this timer does.
      setTimeout(() => {}, 100);
    });
    expect(at - begin).toBeGreaterThanOrEqual(19);
    expect(calls).toEqual(["kept"]);
  });

  it("treats a negative delay as 0, and does not overflow with a delay beyond the range of setTimeout", async () => {
    const calls: string[] = [];
    systemClock.after(-5, () => calls.push("now"));
    const cancel = systemClock.after(2 ** 40, () => calls.push("far"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    cancel();
    expect(calls).toEqual(["now"]);
  });

  it("returns the system time as wall time", () => {
    expect(Math.abs(systemClock.wall() - Date.now())).toBeLessThan(1000);
  });
});
