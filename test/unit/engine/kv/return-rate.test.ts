import { describe, expect, it } from "vitest";
import { ReturnRate } from "../../../../src/engine/kv/return-rate.ts";

/** `count` conversations leave, each after the one before; every `nth` of them comes back `later` departures on. */
function leave(rate: ReturnRate, count: number, nth: number, later = 10): void {
  for (let index = 0; index < count; index++) {
    rate.leave(`${index}`);
    const due = index - later;
    if (due >= 0 && due % nth === 0) rate.come(`${due}`);
  }
}

describe("ReturnRate", () => {
  it("trusts before it has seen anything, and loses no trust over a first crowd", () => {
    const rate = new ReturnRate();
    expect(rate.value).toBe(1);
    leave(rate, 16, 1, 99);
    expect(rate.value).toBeGreaterThan(0.2);
  });

  it("nears the share that comes back", () => {
    for (const [nth, share] of [
      [1, 1],
      [2, 0.5],
      [4, 0.25],
    ] as const) {
      const rate = new ReturnRate();
      leave(rate, 400, nth);
      expect(Math.abs(rate.value - share)).toBeLessThan(0.1);
    }
  });

  it("falls under a tenth where nobody comes back, and rises again when people do", () => {
    const rate = new ReturnRate();
    leave(rate, 200, 1000);
    expect(rate.value).toBeLessThan(0.1);
    leave(rate, 100, 1);
    expect(rate.value).toBeGreaterThan(0.7);
  });

  it("counts nobody who never left, and each departure once", () => {
    const rate = new ReturnRate();
    leave(rate, 100, 1000);
    const before = rate.value;
    rate.come("someone else");
    rate.come("99");
    const once = rate.value;
    rate.come("99");
    expect(once).toBeGreaterThan(before);
    expect(rate.value).toBe(once);
  });
});
