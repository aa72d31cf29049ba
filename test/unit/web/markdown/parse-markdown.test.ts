import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import type { TreeNode, TreeTag } from "../../../../web/markdown/markdown-tree.ts";
import { parseMarkdown } from "../../../../web/markdown/parse-markdown.ts";

const tags: ReadonlySet<TreeTag> = new Set<TreeTag>(
  "p h3 h4 h5 h6 ul ol li blockquote hr codeblock code strong em a br".split(" ") as TreeTag[],
);

/** Formats a tree in a short form such as `p("a" strong("b"))`. */
function show(node: TreeNode): string {
  if (typeof node === "string") return JSON.stringify(node);
  const link = node.host === undefined ? node.href : `${node.href} | ${node.host}`;
  const extra = link ?? node.language ?? node.start;
  const inner = node.children.map(show).join(" ");
  return `${node.tag}${extra === undefined || extra === "" ? "" : `<${extra}>`}(${inner})`;
}

const shown = (text: string): string => parseMarkdown(text).map(show).join(" ");

function textOf(node: TreeNode): string {
  return typeof node === "string" ? node : node.children.map(textOf).join("");
}

function visit(nodes: readonly TreeNode[], each: (node: Exclude<TreeNode, string>) => void): void {
  for (const node of nodes) {
    if (typeof node === "string") continue;
    each(node);
    visit(node.children, each);
  }
}

describe("parseMarkdown with the Markdown of models", () => {
  it.each([
    ["one\ntwo\n\nthree", 'p("one" br() "two") p("three")'],
    [
      "**bold** and *italic*, __bold__ and _italic_",
      'p(strong("bold") " and " em("italic") ", " strong("bold") " and " em("italic"))',
    ],
    ["***both***", 'p(em(strong("both")))'],
    ["a `code *x*` b", 'p("a " code("code *x*") " b")'],
    ["`` a`b ``", 'p(code("a`b"))'],
    ["# Title #\ntext", 'h3("Title") p("text")'],
    ["###### Small", 'h6("Small")'],
    ["- a\n- b\n  - c\n- d", 'ul(li("a") li("b" ul(li("c"))) li("d"))'],
    ["1. a\n\n2. b", 'ol<1>(li("a") li("b"))'],
    ["3) c\n4) d", 'ol<3>(li("c") li("d"))'],
    ["Steps:\n1. a\n   more\n2. b", 'p("Steps:") ol<1>(li("a" br() "more") li("b"))'],
    ["> q\n> r\n\nx", 'blockquote(p("q" br() "r")) p("x")'],
    ["a\n\n---\n\nb", 'p("a") hr() p("b")'],
    ["```ts\nlet a = `<b>`;\n\nb\n```\nend", 'codeblock<ts>("let a = `<b>`;\\n\\nb") p("end")'],
    ["[Site](https://example.org/a?b=c)", 'p(a<https://example.org/a?b=c | example.org>("Site"))'],
    ["see https://example.org/x.", 'p("see " a<https://example.org/x>("https://example.org/x") ".")'],
    ["2 * 3 * 4, snake_case_name, \\*not\\*", 'p("2 * 3 * 4, snake_case_name, *not*")'],
  ])("parses %j", (text, tree) => {
    expect(shown(text)).toBe(tree);
  });

  it("parses unfinished text", () => {
    expect(shown("```py\nprint(")).toBe('codeblock<py>("print(")');
    expect(shown("a **bo")).toBe('p("a **bo")');
    expect(shown("[Site](https://exa")).toContain('"[Site]("');
  });
});

describe("parseMarkdown with hostile text", () => {
  it.each([
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "&lt;b&gt;",
  ])("keeps the HTML %j unchanged as text", (text) => {
    const tree = parseMarkdown(text);
    expect(tree.map(textOf).join("")).toBe(text);
    visit(tree, ({ tag }) => expect(tag).toBe("p"));
  });

  it.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "[x](//evil.example)",
    "[x](/relative)",
    "[x](https://bank.example@evil.example/)",
    "[x](https://)",
    "[x](file:///etc/passwd)",
    "[x](\u0001javascript:alert(1))",
  ])("creates no link for %j", (text) => {
    visit(parseMarkdown(text), ({ tag }) => expect(tag).not.toBe("a"));
    expect(parseMarkdown(text).map(textOf).join("")).toBe(text);
  });

  it("creates no link inside a link and no markup inside code", () => {
    expect(shown("[see https://a.example now](https://b.example/)")).toBe(
      'p(a<https://b.example/ | b.example>("see " "https://a.example" " now"))',
    );
    expect(shown("```\n[x](https://a.example) **b**\n```")).toBe('codeblock("[x](https://a.example) **b**")');
  });

  it("drops a language name with special characters", () => {
    expect(shown('```<img/src="x">\na\n```')).toBe('codeblock("a")');
  });

  it("creates only known elements and http or https links for any text", () => {
    const alphabet = fc.constantFrom(
      ..."*_`[]()<>#-+1.)>~\\ \n\tab\u202e🙂".split(""),
      "http://",
      "javascript:",
      "```",
      "](",
    );
    fc.assert(
      fc.property(
        fc.array(alphabet, { maxLength: 200 }).map((parts) => parts.join("")),
        (text) => {
          visit(parseMarkdown(text), (node) => {
            expect(tags.has(node.tag)).toBe(true);
            if (node.href !== undefined) expect(node.href).toMatch(/^https?:\/\//);
            expect(node.tag === "a").toBe(node.href !== undefined);
          });
        },
      ),
      { numRuns: 500 },
    );
  });

  it("keeps every letter of any text", () => {
    const word = fc.constantFrom("a", "b", "*", "_", " ", "\n", "- ", "> ", "1. ");
    fc.assert(
      fc.property(
        fc.array(word, { maxLength: 100 }).map((parts) => parts.join("")),
        (text) => {
          const letters = (value: string): string => value.replace(/[^ab]/g, "");
          expect(letters(parseMarkdown(text).map(textOf).join(""))).toBe(letters(text));
        },
      ),
      { numRuns: 500 },
    );
  });
});
