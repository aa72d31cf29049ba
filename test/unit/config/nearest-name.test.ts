import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editDistance, nearestName } from "../../../src/config/nearest-name.ts";

describe("editDistance", () => {
  it("counts insertions, deletions and replacements", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("abc", "")).toBe(3);
    expect(editDistance("abc", "abc")).toBe(0);
  });

  it("is a metric", () => {
    const word = fc.string({ maxLength: 8, unit: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, c)).toBeLessThanOrEqual(editDistance(a, b) + editDistance(b, c));
      }),
    );
  });
});

describe("nearestName", () => {
  it("finds the closest name", () => {
    expect(nearestName("MAX_CONECTIONS", ["MAX_CONNECTIONS", "MAX_SESSIONS"])).toBe("MAX_CONNECTIONS");
  });

  it("finds none where none is close", () => {
    expect(nearestName("AI_ZZZZZZZZZZ", ["MAX_CONNECTIONS", "PORT"])).toBeUndefined();
  });
});
