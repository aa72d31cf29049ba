import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { countEchoTokens, tokenStart } from "../../../../src/providers/echo/echo-tokens.ts";

const anyText = fc.string({ unit: "binary", maxLength: 60 });

describe("echo tokens", () => {
  it.each([
    ["", 0],
    ["a", 1],
    ["abcd", 1],
    ["abcde", 2],
    ["abc\u{1f600}", 1],
    ["abc\u{1f600}d", 2],
  ])("of %j are counted as %i", (text, count) => {
    expect(countEchoTokens(text)).toBe(count);
  });

  it("split every text into non-empty pieces of whole characters", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const count = countEchoTokens(text);
        const pieces = Array.from({ length: count }, (_, index) =>
          text.slice(tokenStart(text, index), tokenStart(text, index + 1)),
        );
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) {
          expect(piece).not.toBe("");
          expect(piece).not.toMatch(/\p{Surrogate}/u);
        }
      }),
    );
  });
});
