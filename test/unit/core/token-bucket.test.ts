import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { TokenBucket } from "../../../src/core/token-bucket.ts";

describe("TokenBucket", () => {
  it("grants its burst at once, then the rate, and returns the time to wait", () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 3 });
    expect([1, 2, 3].map(() => bucket.take(0))).toEqual([0, 0, 0]);
    expect(bucket.take(0)).toBe(500);
    expect(bucket.take(400)).toBe(100);
    expect(bucket.take(500)).toBe(0);
    expect(bucket.take(500)).toBe(500);
  });

  it("never grants more than burst and rate allow, in any order of costs and pauses", () => {
    const steps = fc.array(
      fc.record({ pause: fc.integer({ min: 0, max: 900 }), cost: fc.integer({ min: 1, max: 4 }) }),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 4, max: 12 }),
        (all, perSecond, burst) => {
          const bucket = new TokenBucket({ perSecond, burst });
          // Reference model: a number of tokens that grows with time.
          let tokens = burst;
          let now = 1000;
          for (const { pause, cost } of all) {
            now += pause;
            tokens = Math.min(burst, tokens + (pause * perSecond) / 1000);
            const wait = bucket.take(now, cost);
            // At the edge, the result depends on rounding.
            if (Math.abs(tokens - cost) < 1e-6) {
              if (wait === 0) tokens -= cost;
              continue;
            }
            expect(wait === 0).toBe(tokens > cost);
            if (wait === 0) tokens -= cost;
            else expect(wait).toBeCloseTo(((cost - tokens) * 1000) / perSecond, 3);
          }
        },
      ),
    );
  });

  it("grants after the returned time, and not before", () => {
    const bucket = new TokenBucket({ perSecond: 3, burst: 1 });
    bucket.take(0);
    const wait = bucket.take(0);
    expect(bucket.take(wait - 1)).toBeGreaterThan(0);
    expect(bucket.take(wait)).toBe(0);
  });

  it("grants a cost above its burst when full, and goes into debt", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 });
    expect(bucket.take(0, 20)).toBe(0);
    expect(bucket.take(0)).toBe(1600);
    expect(bucket.take(1999, 20)).toBeCloseTo(1);
    expect(bucket.take(2000, 20)).toBe(0);
  });

  it("is full at first, and again after a complete refill", () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 2 });
    expect(bucket.isFull(0)).toBe(true);
    bucket.take(0, 2);
    expect([bucket.isFull(1999), bucket.isFull(2000)]).toEqual([false, true]);
  });
});
