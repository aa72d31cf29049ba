import { describe, expect, it } from "vitest";
import { chooseSlot } from "../../../../src/engine/scheduling/slot-choice.ts";

describe("chooseSlot", () => {
  const empty = (id: number) => ({ id, reusable: 0, same: false, kept: 0, lastUsed: 0 });

  it("prefers the slot that keeps the conversation", () => {
    const free = [empty(0), { id: 3, reusable: 400, same: true, kept: 450, lastUsed: 5 }];
    expect(chooseSlot(free, [], 500)).toBe(3);
  });

  it("takes an empty slot rather than one that keeps another conversation", () => {
    const free = [{ id: 0, reusable: 20, same: false, kept: 450, lastUsed: 5 }, empty(1)];
    expect(chooseSlot(free, [], 500)).toBe(1);
  });

  it("takes the common prefix in a used slot where conversations rarely continue", () => {
    const free = [{ id: 0, reusable: 20, same: false, kept: 450, lastUsed: 5 }, empty(1)];
    expect(chooseSlot(free, [], 500, 0.1)).toBe(0);
  });

  it("evicts the least recently used conversation", () => {
    const free = [4, 2, 9].map((lastUsed, id) => ({ id, reusable: 20, same: false, kept: 100, lastUsed }));
    expect(chooseSlot(free, [], 500)).toBe(1);
  });

  it("keeps the active ids consecutive where all else is equal", () => {
    expect(chooseSlot([empty(0), empty(3), empty(6)], [4, 5], 100)).toBe(3);
    expect(chooseSlot([empty(2), empty(5)], [1, 3], 100)).toBe(2);
    expect(chooseSlot([empty(0), empty(1)], [], 100)).toBe(0);
  });

  it("throws a RangeError when no slot is free", () => {
    expect(() => chooseSlot([], [1], 10)).toThrow(RangeError);
  });
});
