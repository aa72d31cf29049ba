import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { editDistance, nearestName, nearestWord } from "../../../src/core/edit-distance.ts";

const word = fc.string({ maxLength: 12 });

describe("editDistance", () => {
  it.each([
    ["", "", 0],
    ["", "abc", 3],
    ["kitten", "sitting", 3],
    ["help", "hlep", 2],
    ["clear", "clearcontext", 7],
  ])("between %j and %j is %i", (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  it("is a metric: zero only for equal words, symmetric, with the triangle inequality", () => {
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        const ab = editDistance(a, b);
        expect(ab === 0).toBe(a === b);
        expect(editDistance(b, a)).toBe(ab);
        expect(ab).toBeLessThanOrEqual(editDistance(a, c) + editDistance(c, b));
        expect(ab).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

describe("nearestWord", () => {
  it("returns the nearest word, the first of equally near ones, and undefined without words", () => {
    expect(nearestWord("sumarize", ["help", "summarize"])).toBe("summarize");
    expect(nearestWord("x", ["a", "b"])).toBe("a");
    expect(nearestWord("x", [])).toBeUndefined();
  });
});

describe("nearestName", () => {
  it("returns the closest name", () => {
    expect(nearestName("MAX_CONECTIONS", ["MAX_CONNECTIONS", "MAX_SESSIONS"])).toBe("MAX_CONNECTIONS");
    expect(nearestName("MAX_SESIONS", ["MAX_CONNECTIONS", "MAX_SESSIONS"])).toBe("MAX_SESSIONS");
  });

  it("returns undefined when no name is close enough", () => {
    expect(nearestName("AI_ZZZZZZZZZZ", ["MAX_CONNECTIONS", "PORT"])).toBeUndefined();
  });
});
