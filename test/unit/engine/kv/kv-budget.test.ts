import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { KvBudget } from "../../../../src/engine/kv/kv-budget.ts";

describe("KvBudget", () => {
  it("stays within its limit and keeps correct sums for any sequence of operations", () => {
    const step = fc.record({
      key: fc.nat(12),
      owner: fc.nat(3),
      bytes: fc.integer({ min: 1, max: 60 }),
      touch: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const budget = new KvBudget();
        const model = new Map<string, number>();
        for (const { key, owner, bytes, touch } of steps) {
          if (touch) budget.touch(`${key}`);
          const evicted = budget.evictFor(`${owner}`, bytes, 100);
          for (const other of evicted ?? []) expect(model.delete(other)).toBe(true);
          expect(evicted).toBeDefined();
          budget.add(`${key}`, `${owner}`, bytes);
          model.set(`${key}`, bytes);
          expect(budget.bytes).toBe([...model.values()].reduce((sum, size) => sum + size, 0));
          expect(budget.bytes).toBeLessThanOrEqual(100);
          expect(budget.size).toBe(model.size);
        }
      }),
    );
  });

  it("evicts the least recently used entry", () => {
    const budget = new KvBudget();
    for (const key of ["a", "b", "c"]) budget.add(key, key, 30);
    budget.touch("a");
    expect(budget.evictFor("d", 30, 100)).toEqual(["b"]);
  });

  it("evicts only the flooding owner's own entries (trap 24e)", () => {
    const budget = new KvBudget();
    budget.add("kept", "quiet", 30);
    for (let index = 0; index < 50; index++) {
      expect(budget.evictFor("flood", 10, 100)).toBeDefined();
      budget.add(`f${index}`, "flood", 10);
    }
    expect(budget.has("kept")).toBe(true);
    expect(budget.bytes).toBe(100);
  });

  it("evicts nothing for an entry larger than the limit", () => {
    const budget = new KvBudget();
    budget.add("a", "x", 50);
    expect(budget.evictFor("y", 101, 100)).toBeUndefined();
    expect(budget.has("a")).toBe(true);
  });
});
