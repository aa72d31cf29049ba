import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeTail } from "../../../../web/markdown/markdown-tail.ts";
import type { TreeNode } from "../../../../web/markdown/markdown-tree.ts";
import { parseMarkdown } from "../../../../web/markdown/markdown.ts";

function textOf(node: TreeNode): string {
  return typeof node === "string" ? node : node.children.map(textOf).join("");
}

describe("the end of a growing answer", () => {
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
  ])("%j is shown as %j", (text, shown) => expect(closeTail(text)).toBe(shown));

  it("never shows the markers of bold words while they are written", () => {
    const whole = "Here: **Keep cool**, and use `code` in **two words** now";
    for (let end = 0; end <= whole.length; end++) {
      const shown = parseMarkdown(closeTail(whole.slice(0, end)))
        .map(textOf)
        .join("");
      expect(shown).not.toMatch(/[*`]/);
    }
  });

  it("loses no letter of any text", () => {
    const part = fc.constantFrom("a", "b", "*", "**", "`", " ", "\n", "```\n");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const letters = (value: string): string => value.replace(/[^ab]/g, "");
        expect(letters(closeTail(parts.join("")))).toBe(letters(parts.join("")));
      }),
    );
  });
});
