import { describe, expect, it } from "vitest";
import { closeTail } from "../../../../web/markdown/close-tail.ts";
import { cpuMs } from "../../../support/cpu-ms.ts";
import { parseMarkdown } from "../../../../web/markdown/parse-markdown.ts";

const SMALL = 4_000;
const FACTOR = 32;
/** A quadratic parser takes `FACTOR`² = 1,024 times as long for the larger text, a linear one 32 times. */
const MAX_RATIO = FACTOR * 10;
/** Times below this, in milliseconds, are mostly noise. */
const NOISE_MS = 0.5;

const numbered = (length: number): string => Array.from({ length: length / 8 }, (_, index) => index).join("");

/** Repeats `unit` up to `length` characters, between `head` and `tail`. */
const repeated =
  (unit: string, head = "", tail = "") =>
  (length: number): string =>
    head + unit.repeat(Math.ceil(length / unit.length)) + tail;

const texts: readonly (readonly [string, (length: number) => string])[] = [
  ["opened emphasis", repeated("*a ")],
  ["opened strong", repeated("**a")],
  ["opened both", repeated("***a _b __c ")],
  ["brackets", repeated("[")],
  ["closed brackets", (length) => "[".repeat(length / 2) + "]".repeat(length / 2)],
  [
    "brackets before one address",
    (length) => repeated(`${"[".repeat(1_900)}](https://${"a".repeat(900)}:b)`)(length),
  ],
  ["half links", repeated("[a](")],
  ["ends of links", repeated("](")],
  ["links to nowhere", repeated("[a](b)")],
  ["links", repeated("[a](https://b.example) ")],
  ["backticks", repeated("`")],
  ["pairs of backticks", repeated("` `` ")],
  [
    "growing runs of backticks",
    (length) => Array.from({ length: Math.sqrt(length) }, (_, run) => "`".repeat(run)).join(" "),
  ],
  [
    "runs of backticks without a partner",
    repeated(Array.from({ length: 70 }, (_, run) => "`".repeat(run)).join("x")),
  ],
  ["asterisks", repeated("*")],
  ["asterisks and letters", repeated("a*")],
  ["underscores", repeated("_a")],
  ["tildes", repeated("~")],
  ["tildes and a backtick", repeated("~", "", "`")],
  ["a fence with a long word", repeated("a", "```", "`")],
  ["a fence with many words", repeated("a ", "~~~", "`")],
  ["less-than signs", repeated("<")],
  ["addresses", repeated("http://")],
  ["addresses in angle brackets", repeated("<http://a.example>")],
  ["refused addresses", repeated("http://a:b@c ")],
  ["refused addresses without a space", repeated("(http://a:b@c)")],
  ["letters h", repeated("h")],
  ["quotes", repeated(">")],
  ["lines of quotes", repeated("> > > > > > a\n")],
  [
    "nested lists",
    (length) =>
      Array.from({ length: Math.sqrt(length * 2) }, (_, depth) => `${" ".repeat(depth)}- x`).join("\n"),
  ],
  ["list markers", repeated("- ")],
  ["items", repeated("- a\n")],
  ["items of both kinds", repeated("- a\n1. b\n")],
  ["blank lines in a list", repeated("\n", "- a\n")],
  ["loose items", repeated("- a\n\n\n\n")],
  ["blanks", repeated(" ", "# ", "x")],
  ["blanks before a line separator", repeated(" ", "# ", "\u2028x")],
  ["blanks before a return", repeated(" ", "# ", "\rx")],
  ["closing hashes", repeated(" #", "# ", "x")],
  ["rules", repeated("- ", "", "x")],
  ["rules of tabs", repeated("\t", "-", "x")],
  ["fences", repeated("```\n")],
  ["an open fence", repeated("a\n", "```\n")],
  ["tables", repeated("| a | b |\n|---|---|\n")],
  ["one long table row", repeated("| ")],
  ["entities", repeated("&amp;&#x41;")],
  ["escapes", repeated("\\")],
  ["one long line", repeated("word ")],
  ["lines", repeated("a\n")],
  ["returns", repeated("\r")],
  ["digits", numbered],
];

/** The least CPU time of several runs, in milliseconds. */
function timeOf(work: () => void): number {
  const times = Array.from({ length: 3 }, () => cpuMs(work));
  return Math.max(NOISE_MS, Math.min(...times));
}

describe("the time for parsing grows linearly", () => {
  it.each(texts)("with %s", (_name, textOf) => {
    const work = (length: number) => {
      const text = textOf(length);
      return () => void (parseMarkdown(text), parseMarkdown(closeTail(text)));
    };
    work(SMALL)();
    const small = timeOf(work(SMALL));
    const large = timeOf(work(SMALL * FACTOR));
    expect(large / small).toBeLessThan(MAX_RATIO);
  });
});
