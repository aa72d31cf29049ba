import { describe, expect, it } from "vitest";
import { ReturnRate } from "../../../../src/engine/kv/return-rate.ts";

/** Displaces `count` conversations one after the other. Every `nth` one returns after `later` further displacements. */
function displace(rate: ReturnRate, count: number, nth: number, later = 10): void {
  for (let index = 0; index < count; index++) {
    rate.recordDisplacement(`${index}`);
    const due = index - later;
    if (due >= 0 && due % nth === 0) rate.recordRequest(`${due}`);
  }
}

describe("ReturnRate", () => {
  it("starts at 1 and stays well above 0 while a first crowd has had no time to return", () => {
    const rate = new ReturnRate();
    expect(rate.value).toBe(1);
    displace(rate, 16, 1, 99);
    expect(rate.value).toBeGreaterThan(0.2);
  });

  it("approaches the share of conversations that return", () => {
    for (const [nth, share] of [
      [1, 1],
      [2, 0.5],
      [4, 0.25],
    ] as const) {
      const rate = new ReturnRate();
      displace(rate, 400, nth);
      expect(Math.abs(rate.value - share)).toBeLessThan(0.1);
    }
  });

  it("falls below 0.1 when no conversation returns, and rises again when conversations return", () => {
    const rate = new ReturnRate();
    displace(rate, 200, 1000);
    expect(rate.value).toBeLessThan(0.1);
    displace(rate, 100, 1);
    expect(rate.value).toBeGreaterThan(0.7);
  });

  it("ignores conversations that were not displaced, and counts each displacement once", () => {
    const rate = new ReturnRate();
    displace(rate, 100, 1000);
    const before = rate.value;
    rate.recordRequest("other");
    rate.recordRequest("99");
    const once = rate.value;
    rate.recordRequest("99");
    expect(once).toBeGreaterThan(before);
    expect(rate.value).toBe(once);
  });
});
