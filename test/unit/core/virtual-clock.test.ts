import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../support/virtual-clock.ts";

describe("VirtualClock", () => {
  it("fires timers in order of time, then of creation, including those created meanwhile", () => {
    const clock = new VirtualClock();
    const fired: string[] = [];
    clock.after(20, () => fired.push("c"));
    clock.after(10, () => {
      fired.push("a");
      clock.after(5, () => fired.push("b"));
      clock.after(500, () => fired.push("never"));
    });
    clock.after(20, () => fired.push("d"));
    clock.after(20, () => fired.push("cancelled"))();
    clock.advance(20);
    expect(fired).toEqual(["a", "b", "c", "d"]);
    expect(clock.pending).toBe(1);
  });

  it("settles promises between timers", async () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const sleep = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
    const begin = clock.now();
    const work = (async () => {
      for (let index = 0; index < 3; index++) {
        await sleep(10);
        fired.push(clock.now() - begin);
      }
    })();
    await clock.pass(30);
    expect(fired).toEqual([10, 20, 30]);
    await work;
  });
});
