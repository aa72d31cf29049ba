import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { NgramIndex } from "../../../../src/engine/speculation/ngram-index.ts";

function indexOf(...tokens: number[]): NgramIndex {
  const index = new NgramIndex();
  index.push(tokens);
  return index;
}

describe("NgramIndex", () => {
  it("returns the tokens that followed an earlier occurrence of the last four", () => {
    expect(indexOf(9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4).continuation(3)).toEqual([5, 6, 7]);
  });

  it("returns nothing when only the last three tokens occurred before", () => {
    expect(indexOf(2, 3, 4, 5, 6, 7, 1, 2, 3, 4).continuation(8)).toEqual([]);
    expect(indexOf().continuation(8)).toEqual([]);
  });

  it("returns no more tokens than the length of the match", () => {
    expect(indexOf(9, 1, 2, 3, 4, 5, 6, 7, 8, 10, 0, 1, 2, 3, 4).continuation(8)).toEqual([5, 6, 7, 8]);
    expect(indexOf(9, 1, 2, 3, 4, 5, 6, 7, 8, 10, 0, 1, 2, 3, 4, 5).continuation(8)).toEqual([
      6, 7, 8, 10, 0,
    ]);
  });

  it("uses the latest of several occurrences", () => {
    expect(indexOf(1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 1, 2, 3, 4).continuation(1)).toEqual([6]);
  });

  it("finds no occurrence from before it was cleared", () => {
    const index = indexOf(1, 2, 3, 4, 5, 6);
    index.clear();
    index.push([1, 2, 3, 4]);
    expect(index.continuation(8)).toEqual([]);
    expect(index.length).toBe(4);
  });

  it("returns only earlier continuations of the last four tokens, however the tokens were pushed", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }), (tokens) => {
        const index = new NgramIndex();
        for (const token of tokens) index.push([token]);
        const guesses = index.continuation(8);
        expect(guesses).toEqual(indexOf(...tokens).continuation(8));
        if (guesses.length === 0) return;
        const pattern = [...tokens.slice(-4), ...guesses].join("");
        expect(tokens.join("")).toContain(pattern);
      }),
    );
  });
});
