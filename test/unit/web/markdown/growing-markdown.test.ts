import { isDeepStrictEqual } from "node:util";
import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { closeTail } from "../../../../web/markdown/close-tail.ts";
import { GrowingMarkdown } from "../../../../web/markdown/growing-markdown.ts";
import { parseBlocks, parseMarkdown } from "../../../../web/markdown/parse-markdown.ts";

const part = fc.constantFrom(
  ..."a b * ** ` _ [ ]( ) # > - 1. ~~~ ``` \\".split(" "),
  ..." ,  ,\n,\n\n,\r\n,\n\n\n\n,- a\n,1. a\n,> a\n,```js\n,# a\n,---\n,http://a.example ".split(","),
);
const parts = fc.array(part, { maxLength: 30 });

/** A growing text and a function that counts the characters that were parsed. */
function counted(): { growing: GrowingMarkdown; chars: () => number } {
  let chars = 0;
  const growing = new GrowingMarkdown((lines, depth, starts) => {
    for (const line of lines) chars += line.length + 1;
    return parseBlocks(lines, depth, starts);
  });
  return { growing, chars: () => chars };
}

describe("a growing text", () => {
  it("has the same blocks as the whole text, parsed at once, after each update", () => {
    fc.assert(
      fc.property(parts, (pieces) => {
        const growing = new GrowingMarkdown();
        let text = "";
        for (const piece of pieces) {
          text += piece;
          growing.update(text, false);
          // Much faster than toEqual.
          expect(isDeepStrictEqual(growing.update(text, true).blocks, parseMarkdown(text))).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("reports as unchanged only blocks that are the same objects as before", () => {
    fc.assert(
      fc.property(parts, (pieces) => {
        const growing = new GrowingMarkdown();
        let text = "";
        let before: readonly unknown[] = [];
        for (const piece of pieces) {
          text += piece;
          const { blocks, unchanged } = growing.update(text, false);
          for (let index = 0; index < unchanged; index++) expect(blocks[index] === before[index]).toBe(true);
          before = [...blocks];
        }
      }),
      { numRuns: 300 },
    );
  });

  it("shows unfinished markup in its last block as closed", () => {
    const growing = new GrowingMarkdown();
    for (const text of ["# a\n\nb\n\n**bo", "# a\n\nb\n\n**bold** and `c"]) {
      expect(growing.update(text, false).blocks).toEqual(parseMarkdown(closeTail(text)));
    }
  });

  it("is parsed from its beginning if another text takes its place", () => {
    const growing = new GrowingMarkdown();
    growing.update("a\n\nb\n\nc\n\n", false);
    expect(growing.update("x\n\nb\n\nc", false)).toEqual({
      blocks: parseMarkdown("x\n\nb\n\nc"),
      unchanged: 0,
    });
    expect(growing.update("", true)).toEqual({ blocks: [], unchanged: 0 });
  });

  it.each([
    ["paragraphs", "Some words of one paragraph.\n\n"],
    ["headings", "# One\n"],
    ["blocks of code", "```ts\nlet a = 1;\n```\n"],
    ["mixed blocks", "# One\n\n- a\n- b\n\n> c\n\nSome words.\n\n```\nx\n```\n\n"],
  ])("of %s is parsed in linear time: each block a bounded number of times", (_name, unit) => {
    const whole = unit.repeat(100);
    const { growing, chars } = counted();
    for (let end = 4; end <= whole.length; end += 4) growing.update(whole.slice(0, end), false);
    const perToken = chars() / (whole.length / 4);
    // At most two blocks are not final.
    expect(perToken).toBeLessThan(3 * unit.length);
  });
});
