import { describe, expect, it } from "vitest";
import { BadFrameCounter, BreachCounter } from "../../../../src/session/limits/inbound-guard.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

describe("BadFrameCounter", () => {
  it("is exceeded by one more than the limit within a minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
    clock.advance(59_999);
    expect(counter.exceeds(3, clock)).toBe(true);
  });

  it("begins anew each minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let minute = 0; minute < 5; minute++) {
      for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
      clock.advance(60_000);
    }
  });
});

describe("BreachCounter", () => {
  it("ends it with the twentieth within ten seconds", () => {
    const counter = new BreachCounter();
    const results = Array.from({ length: 20 }, (_, index) => counter.isLast(index * 500));
    expect(results.slice(0, 19)).not.toContain(true);
    expect(results[19]).toBe(true);
  });

  it("forgives the same number over a longer time, wherever a window would begin", () => {
    const counter = new BreachCounter();
    // Nineteen at a time, ten seconds apart.
    for (let burst = 0; burst < 10; burst++) {
      for (let index = 0; index < 19; index++) expect(counter.isLast(burst * 10_001 + index)).toBe(false);
    }
  });
});
