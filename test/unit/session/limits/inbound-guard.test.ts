import { describe, expect, it } from "vitest";
import { BadFrameCounter, BreachCounter } from "../../../../src/session/limits/inbound-guard.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

describe("BadFrameCounter", () => {
  it("is exceeded by one frame more than the limit within a minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
    clock.advance(59_999);
    expect(counter.exceeds(3, clock)).toBe(true);
  });

  it("restarts each minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let minute = 0; minute < 5; minute++) {
      for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
      clock.advance(60_000);
    }
  });
});

describe("BreachCounter", () => {
  it("is exceeded by the twentieth breach within ten seconds", () => {
    const counter = new BreachCounter();
    const results = Array.from({ length: 20 }, (_, index) => counter.isLast(index * 500));
    expect(results.slice(0, 19)).not.toContain(true);
    expect(results[19]).toBe(true);
  });

  it("allows the same number over a longer time, in a sliding window", () => {
    const counter = new BreachCounter();
    // Bursts of nineteen, just over ten seconds apart.
    for (let burst = 0; burst < 10; burst++) {
      for (let index = 0; index < 19; index++) expect(counter.isLast(burst * 10_001 + index)).toBe(false);
    }
  });
});
