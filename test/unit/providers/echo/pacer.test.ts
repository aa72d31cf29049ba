import { describe, expect, it } from "vitest";
import { Pacer } from "../../../../src/providers/echo/pacer.ts";

const MS = 20;

/** A clock whose timers are fired by the test, so that they can be late, as on a blocked event loop. */
function setUp() {
  let now = 1000;
  const timers: (() => void)[] = [];
  const clock = {
    now: () => now,
    wall: () => now,
    after: (_ms: number, callback: () => void) => {
      timers.push(callback);
      return () => {};
    },
  };
  const pass = (ms: number): void => void (now += ms);
  const fire = (): void => timers.shift()?.();
  return { pacer: new Pacer(MS, clock), pass, fire, timers };
}

describe("Pacer", () => {
  it("lets late answers catch up even if others were added in the meantime", () => {
    const { pacer, pass, fire } = setUp();
    const steps = { late: 0, added: 0 };
    pacer.add(() => ++steps.late < 100);
    pass(2.45 * MS);
    pacer.add(() => ++steps.added < 100);
    pass(0.05 * MS);
    fire();
    // The first answer was due at 1 and 2, the other one is due at 3.45.
    expect(steps).toEqual({ late: 2, added: 0 });
    pass(0.5 * MS);
    fire();
    expect(steps).toEqual({ late: 3, added: 0 });
    pass(0.5 * MS);
    fire();
    expect(steps).toEqual({ late: 3, added: 1 });
  });

  it("continues the other answers if a step throws", () => {
    const { pacer, pass, fire, timers } = setUp();
    let steps = 0;
    pacer.add(() => {
      throw new Error("broken");
    });
    pacer.add(() => ++steps < 100);
    pass(MS);
    expect(fire).toThrow("broken");
    expect(timers).toHaveLength(1);
    fire();
    pass(MS);
    fire();
    expect(steps).toBe(2);
  });
});
