import { parseInline } from "./parse-inline.ts";
import { element, type TreeElement, type TreeNode, type TreeTag } from "./markdown-tree.ts";

/** Maximum nesting depth of lists and quotes. Deeper markers stay text. */
const MAX_DEPTH = 5;

/** The run of backticks or tildes of a fence. Greedy, so that it contains the whole run. */
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
/** Its last part matches every character. Otherwise a line separator would cause quadratically many attempts. */
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/s;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;

const headings: readonly TreeTag[] = ["h3", "h4", "h5", "h6", "h6", "h6"];

interface Fence {
  /** The run of backticks or tildes. */
  readonly marker: string;
  /** The first word after the marker. */
  readonly language: string;
}

interface Block {
  readonly node: TreeElement;
  /** Index of the first line after the block. */
  readonly next: number;
}

/**
 * Parses the subset of Markdown that models write: paragraphs, headings, lists, quotes, code, rules and inline markup.
 * Any text is valid input, including an unfinished answer. HTML is treated as text. The time is linear in the length of
 * the text.
 */
export function parseMarkdown(text: string): TreeElement[] {
  return parseBlocks(linesOf(text), 0);
}

/** Lines of a text, without line breaks. */
export function linesOf(text: string): string[] {
  return text.replaceAll("\r\n", "\n").split("\n");
}

/**
 * Parses lines into blocks.
 *
 * @param depth - Number of lists and quotes around the lines.
 * @param starts - Receives the index of the first line of each block.
 */
export function parseBlocks(lines: readonly string[], depth: number, starts: number[] = []): TreeElement[] {
  const blocks: TreeElement[] = [];
  for (let at = 0; at < lines.length;) {
    if (isBlank(lines[at])) {
      at++;
      continue;
    }
    const { node, next } = readBlock(lines, at, depth);
    starts.push(at);
    blocks.push(node);
    at = next;
  }
  return blocks;
}

function readBlock(lines: readonly string[], at: number, depth: number): Block {
  const line = lines[at] as string;
  const heading = HEADING.exec(line);
  if (heading !== null) {
    const tag = headings[(heading[1] as string).length - 1] as TreeTag;
    const title = (heading[2] as string).trim().replace(/[ \t]#+$/, "");
    return { node: element(tag, parseInline(title)), next: at + 1 };
  }
  const fence = openingFence(line);
  if (fence !== undefined) return codeBlock(lines, at, fence);
  if (RULE.test(line)) return { node: element("hr"), next: at + 1 };
  if (depth < MAX_DEPTH && QUOTE.test(line)) return quote(lines, at, depth);
  if (depth < MAX_DEPTH && ITEM.test(line)) return list(lines, at, depth);
  return paragraph(lines, at, depth);
}

function isBlank(line: string | undefined): boolean {
  return line !== undefined && line.trim() === "";
}

/** Returns whether a line ends the paragraph before it. */
function startsBlock(line: string, depth: number): boolean {
  return (
    HEADING.test(line) ||
    openingFence(line) !== undefined ||
    RULE.test(line) ||
    (depth < MAX_DEPTH && (QUOTE.test(line) || ITEM.test(line)))
  );
}

function paragraph(lines: readonly string[], start: number, depth: number): Block {
  let next = start + 1;
  while (next < lines.length && !isBlank(lines[next]) && !startsBlock(lines[next] as string, depth)) next++;
  const text = lines.slice(start, next).map((line) => line.trim());
  return { node: element("p", parseInline(text.join("\n"))), next };
}

/** Reads the opening line of a code block. One regular expression for all of it would take quadratic time. */
function openingFence(line: string): Fence | undefined {
  const marker = FENCE.exec(line)?.[1];
  if (marker === undefined) return undefined;
  const rest = line.slice(line.indexOf(marker) + marker.length);
  if (rest.includes("`")) return undefined;
  return { marker, language: /\S+/.exec(rest)?.[0] ?? "" };
}

function codeBlock(lines: readonly string[], start: number, { marker, language: word }: Fence): Block {
  let next = start + 1;
  while (next < lines.length && !closesFence(lines[next] as string, marker)) next++;
  const code = lines.slice(start + 1, next).join("\n");
  // The language is shown on the page, so only plain names are accepted.
  const language = /^[\w+#.-]{1,20}$/.exec(word)?.[0] ?? "";
  return { node: element("codeblock", code === "" ? [] : [code], { language }), next: next + 1 };
}

function closesFence(line: string, fence: string): boolean {
  const text = line.trim();
  return text.length >= fence.length && text === (fence[0] as string).repeat(text.length);
}

function quote(lines: readonly string[], start: number, depth: number): Block {
  let next = start;
  const inner: string[] = [];
  while (next < lines.length && QUOTE.test(lines[next] as string)) {
    inner.push((lines[next] as string).replace(QUOTE, ""));
    next++;
  }
  return { node: element("blockquote", parseBlocks(inner, depth + 1)), next };
}

function list(lines: readonly string[], start: number, depth: number): Block {
  const first = ITEM.exec(lines[start] as string) as RegExpExecArray;
  const kind = kindOf(first);
  const items: TreeElement[] = [];
  let next = start;
  while (next < lines.length) {
    const match = ITEM.exec(lines[next] as string);
    if (match === null || kindOf(match) !== kind || RULE.test(lines[next] as string)) break;
    const item = listItem(lines, next, match, depth);
    items.push(item.node);
    next = item.next;
  }
  if (kind === "-") return { node: element("ul", items), next };
  return { node: element("ol", items, { start: Number.parseInt(first[2] as string, 10) }), next };
}

/** Kind of a list marker. Items of one kind form one list; a marker of the other kind starts a new list. */
function kindOf(marker: RegExpExecArray): "-" | "1" {
  return /^\d/.test(marker[2] as string) ? "1" : "-";
}

function listItem(lines: readonly string[], start: number, marker: RegExpExecArray, depth: number): Block {
  const outer = (marker[1] as string).length;
  const inner: string[] = [(lines[start] as string).slice(marker[0].length)];
  let next = start + 1;
  for (; next < lines.length; next++) {
    const line = lines[next] as string;
    const indent = line.length - line.trimStart().length;
    if (isBlank(line)) {
      const after = lines.slice(next, next + 3).find((later) => !isBlank(later));
      if (after === undefined) break;
      const continues = after.length - after.trimStart().length >= outer + 2;
      // A blank line between two items belongs to the item, so that a loose list stays one list.
      if (!continues && !ITEM.test(after)) break;
      inner.push("");
    } else if (indent >= outer + 2) {
      inner.push(line.slice(Math.min(indent, marker[0].length)));
    } else if (startsBlock(line, depth) || isBlank(lines[next - 1])) {
      break;
    } else {
      inner.push(line);
    }
  }
  return { node: element("li", unwrapSingle(parseBlocks(inner, depth + 1))), next };
}

/** Removes the paragraph around the text of an item if the item has only one paragraph. */
function unwrapSingle(blocks: readonly TreeElement[]): readonly TreeNode[] {
  const [first, ...rest] = blocks;
  if (first?.tag !== "p" || rest.some((block) => block.tag === "p")) return blocks;
  return [...first.children, ...rest];
}
