import { describe, expect, it } from "vitest";
import type { TreeElement, TreeNode } from "../../../../web/markdown/markdown-tree.ts";
import { parseMarkdown } from "../../../../web/markdown/parse-markdown.ts";

function linksOf(nodes: readonly TreeNode[]): TreeElement[] {
  return nodes.flatMap((node) => {
    if (typeof node === "string") return [];
    return node.tag === "a" ? [node] : linksOf(node.children);
  });
}

const links = (text: string): TreeElement[] => linksOf(parseMarkdown(text));

describe("the host of a link", () => {
  it.each([
    "https://bank.example",
    "http://bank.example/login",
    "bank.example",
    "www.bank.example",
    "BANK.EXAMPLE",
    "HTTPS://BANK.EXAMPLE",
    "//bank.example",
    "https://bank.example@evil.example",
    "https://evil.example@bank.example",
    "https://evil.example.bank.example",
    "https://bank.example/https://evil.example",
    "`https://bank.example`",
    "**https://bank.example**",
    "*https://**bank**.example*",
    "https://b\u0430nk.example",
    "\u202ehttps://elpmaxe.knab",
    "https://evil.example\u202e/elpmaxe.knab",
    "https://evil.example\u2066",
    "https://evil.example\u200b.bank.example",
    "https://e\u00advil.example",
    "\u200bhttps://evil.example",
    "https\u200b://bank.example",
    "https://evil\uff0eexample",
    "\uff48ttps://bank.example",
    "https://evil.example bank.example",
    "https://evil.example\u00a0",
    "https://evil.example:8443",
    "https://evil.example\\@bank.example",
    "Your bank",
    "\u2800",
    "[https://evil.example",
  ])("is shown if its text is %j", (text) => {
    const found = links(`see [${text}](https://evil.example/path) now`);
    expect(found).toEqual([
      expect.objectContaining({ href: "https://evil.example/path", host: "evil.example" }),
    ]);
  });

  it.each([
    ["https://b\u0430nk.example/a", "xn--bnk-6cd.example"],
    ["https://bank.example\u3002evil.example", "bank.example.evil.example"],
    ["HTTPS://paypaI.example", "paypai.example"],
    ["https://e\u00advil.example", "evil.example"],
    ["https:///evil.example/bank.example", "evil.example"],
    ["https://bank.example%2eevil.example", "bank.example.evil.example"],
    ["https://0x7f.1/", "127.0.0.1"],
    ["https://evil.example/\u202eelpmaxe.knab", "evil.example"],
    ["https://evil.example/\u05d0/bank.example", "evil.example"],
  ])("is shown if the address %j in running text does not read as that host", (text, host) => {
    for (const around of [text, `<${text}>`, `(${text})`]) expect(links(around)[0]?.host).toBe(host);
  });

  it("is shown in punycode if it has letters of other scripts", () => {
    expect(links("[x](https://b\u0430nk.example)")[0]?.host).toBe("xn--bnk-6cd.example");
  });

  it("is not shown if the text is the address itself", () => {
    for (const address of [
      "https://evil.example",
      "http://a.example:81/x?y=z#q",
      "http://[::1]:8000/",
      "https://xn--bnk-6cd.example/",
    ]) {
      for (const text of [
        address,
        `[${address}](${address})`,
        `[\`${address}\`](${address})`,
        `<${address}>`,
      ]) {
        expect(links(text)).toHaveLength(1);
        expect(links(text)[0]?.host).toBeUndefined();
      }
    }
  });
});

it("an address with a user name is never a link, wherever it is written", () => {
  for (const text of [
    "https://bank.example@evil.example",
    "<https://bank.example:x@evil.example>",
    "[x](https://bank.example@evil.example)",
  ])
    expect(links(text)).toEqual([]);
});

it("a reference cannot give an address another target", () => {
  const found = links("[https://bank.example][1] and https://bank.example [1]\n\n[1]: https://evil.example");
  expect(found).toEqual([
    { tag: "a", href: "https://bank.example/", children: ["https://bank.example"] },
    { tag: "a", href: "https://evil.example/", children: ["https://evil.example"] },
  ]);
});
