import fc from "../../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { SurrogateJoiner } from "../../../../../src/providers/remote/reply/surrogate-joiner.ts";

function read(pieces: readonly string[]): string[] {
  const joiner = new SurrogateJoiner();
  return [...pieces.map((piece) => joiner.push(piece)), joiner.flush()];
}

describe("the surrogate joiner", () => {
  it("joins a surrogate pair that is split over two pieces", () => {
    expect(read(["a\ud83d", "\ude00b"])).toEqual(["a", "\u{1f600}b", ""]);
  });

  it("replaces an unpaired surrogate", () => {
    expect(read(["\ude00a", "b\ud83d"])).toEqual(["\ufffda", "b", "\ufffd"]);
  });

  it("preserves every text for every division into pieces", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 5 }), (text, size) => {
        const units = text.split("");
        const pieces = Array.from({ length: Math.ceil(units.length / size) }, (_, index) =>
          units.slice(index * size, (index + 1) * size).join(""),
        );
        const out = read(pieces);
        expect(out.join("")).toBe(text);
        for (const piece of out) expect(piece).not.toMatch(/\p{Surrogate}/u);
      }),
    );
  });
});
