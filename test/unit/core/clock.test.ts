import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";

describe("systemClock", () => {
  it("calls back once, not before its time, and not when it was cancelled", async () => {
    const begin = systemClock.now();
    const calls: string[] = [];
    const cancel = systemClock.after(5, () => calls.push("cancelled"));
    cancel();
    const at = await new Promise<number>((resolve) => {
      systemClock.after(20, () => {
        calls.push("kept");
        resolve(systemClock.now());
      });
      // The clock keeps no process alive; this test must.
      setTimeout(() => {}, 100);
    });
    expect(at - begin).toBeGreaterThanOrEqual(19);
    expect(calls).toEqual(["kept"]);
  });

  it("takes a time below zero as now, and one beyond a timer's range as far away", async () => {
    const calls: string[] = [];
    systemClock.after(-5, () => calls.push("now"));
    const cancel = systemClock.after(2 ** 40, () => calls.push("far"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    cancel();
    expect(calls).toEqual(["now"]);
  });

  it("shows the wall's time", () => {
    expect(Math.abs(systemClock.wall() - Date.now())).toBeLessThan(1000);
  });
});
