import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import {
  isExactCut,
  joinedPairs,
  MAX_PIECE_CHARS,
  pieceEnd,
} from "../../../../src/engine/model/text-pieces.ts";

const nothing = () => false;

function piecesOf(text: string, joined: (left: string, right: string) => boolean = nothing): string[] {
  const pieces: string[] = [];
  for (let from = 0; from < text.length; from = pieceEnd(text, from, joined)) {
    pieces.push(text.slice(from, pieceEnd(text, from, joined)));
  }
  return pieces;
}

describe("the pieces of a text", () => {
  it("end before the space of a word or before punctuation", () => {
    const pieces = piecesOf("The cats sat on mats. ".repeat(500));
    expect(pieces.length).toBeGreaterThan(4);
    for (const piece of pieces.slice(1)) expect(piece).toMatch(/^( \S|\.)/);
    expect(
      piecesOf("你好，世界。".repeat(1000))
        .slice(1)
        .every((piece) => /^[，。]/.test(piece)),
    ).toBe(true);
  });

  it.each([
    ["inside of a word", "ab", 1],
    ["after a space", "a b", 2],
    ["before one of several spaces", "a  b", 1],
    ["before an apostrophe", "it's", 2],
    ["between digits", "12", 1],
    ["before a line break", "a\nb", 1],
    ["between punctuation", "a)).", 2],
    ["before a combining mark", "e\u0301", 1],
    ["before a space at the end", "a ", 1],
  ])("do not end %s unless they have to", (_, text, at) => {
    expect(isExactCut(text, at, nothing)).toBe(false);
  });

  it("do not end where a token of the vocabulary joins the two characters", () => {
    const joined = joinedPairs([" the", "e.", "n the", "好，", "is"]);
    expect(joined("e", ".")).toBe(true);
    expect(joined("n", " ")).toBe(true);
    expect(joined("好", "，")).toBe(true);
    expect(joined("s", ".")).toBe(false);
    expect(joined("e", " ")).toBe(false);
  });

  it("do not end where a token holds a part of a character that may join them", () => {
    const joined = joinedPairs(["a\ufffd", "\ufffd。"]);
    expect(joined("a", "。")).toBe(true);
    expect(joined("b", "。")).toBe(false);
    expect(joined("好", "。")).toBe(true);
    expect(joined("a", " ")).toBe(false);
  });

  it("spell the text, are bounded and split no surrogate pair, whatever the text", () => {
    const part = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc
        .constantFrom(" ", "\n", "a", "ab c. ", "😀", "中", "1")
        .chain((unit) => fc.integer({ min: 1, max: 5000 }).map((count) => unit.repeat(count))),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, always) => {
        const text = parts.join("");
        const pieces = piecesOf(text, () => always);
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) {
          expect(piece.length).toBeGreaterThan(0);
          expect(piece.length).toBeLessThanOrEqual(MAX_PIECE_CHARS);
        }
        for (const [index, piece] of pieces.slice(1).entries()) {
          const pair = `${(pieces[index] as string).at(-1)}${piece[0]}`;
          expect(/^[\ud800-\udbff][\udc00-\udfff]$/.test(pair)).toBe(false);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("are at most twice as many as the length requires", () => {
    const text = `${"a".repeat(2040)} b`.repeat(50);
    expect(piecesOf(text).length).toBeLessThanOrEqual(2 * Math.ceil(text.length / MAX_PIECE_CHARS) + 1);
  });
});
