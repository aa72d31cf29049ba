import { describe, expect, it } from "vitest";
import { BucketTable } from "../../../src/core/bucket-table.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const rate = { perSecond: 1, burst: 2 };

describe("BucketTable", () => {
  it("keeps a separate budget for each key", () => {
    const clock = new VirtualClock();
    const table = new BucketTable(rate, 100, clock);
    expect([table.take("a"), table.take("a"), table.take("b")]).toEqual([0, 0, 0]);
    expect(table.take("a")).toBe(1000);
    expect(table.take("b")).toBe(0);
    clock.advance(1000);
    expect(table.take("a")).toBe(0);
  });

  it("removes keys whose buckets are full again, without a timer", () => {
    const clock = new VirtualClock();
    const table = new BucketTable(rate, 1000, clock);
    for (let key = 0; key < 500; key++) table.take(`old${key}`);
    expect(table.size).toBe(500);
    expect(clock.pending).toBe(0);
    clock.advance(2000);
    for (let key = 0; key < 250; key++) table.take(`new${key}`);
    expect(table.size).toBe(250);
    clock.advance(2000);
    expect(table.size).toBe(0);
  });

  it("evicts the least recently used key at its maximum size (trap 24e)", () => {
    const clock = new VirtualClock();
    const table = new BucketTable({ perSecond: 0.001, burst: 2 }, 10, clock);
    table.take("steady", 2);
    for (let key = 0; key < 1000; key++) {
      table.take(`flood${key}`);
      // A key in use stays limited, regardless of the number of new keys.
      expect(table.take("steady")).toBeGreaterThan(0);
      expect(table.size).toBeLessThanOrEqual(10);
    }
  });
});
