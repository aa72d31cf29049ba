import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { closeTail } from "../../../../web/markdown/close-tail.ts";
import type { TreeNode } from "../../../../web/markdown/markdown-tree.ts";
import { parseMarkdown } from "../../../../web/markdown/parse-markdown.ts";

function textOf(node: TreeNode): string {
  return typeof node === "string" ? node : node.children.map(textOf).join("");
}

describe("closeTail", () => {
  it.each([
    ["a **bo", "a **bo**"],
    ["1. x\n2. **Creating a ", "1. x\n2. **Creating a**"],
    ["a **", "a "],
    ["a *", "a"],
    ["a **bold*", "a **bold**"],
    ["use `np", "use `np`"],
    ["use `", "use "],
    ["a **bold** and on", "a **bold** and on"],
    ["**one\ntwo", "**one\ntwo"],
    ["```\na **b `c", "```\na **b `c"],
    ["```\nx\n```\n**b", "```\nx\n```\n**b**"],
    ["* ", "* "],
    ["*", "*"],
    ["", ""],
  ])("turns %j into %j", (text, shown) => expect(closeTail(text)).toBe(shown));

  it("leaves no visible markers at any point of a growing text", () => {
    const whole = "Here: **Keep cool**, and use `code` in **two words** now";
    for (let end = 0; end <= whole.length; end++) {
      const shown = parseMarkdown(closeTail(whole.slice(0, end)))
        .map(textOf)
        .join("");
      expect(shown).not.toMatch(/[*`]/);
    }
  });

  it("keeps every letter of any text", () => {
    const part = fc.constantFrom("a", "b", "*", "**", "`", " ", "\n", "```\n");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const letters = (value: string): string => value.replace(/[^ab]/g, "");
        expect(letters(closeTail(parts.join("")))).toBe(letters(parts.join("")));
      }),
    );
  });
});
