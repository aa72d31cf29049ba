import { describe, expect, it } from "vitest";
import { BreachCounter } from "../../../src/session/breach-counter.ts";

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
