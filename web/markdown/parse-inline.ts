import { element, safeHref, type TreeElement, type TreeNode } from "./markdown-tree.ts";

/** Maximum length of emphasis, code and links, in characters. Bounds the time for hostile text. */
const MAX_SPAN_LENGTH = 2_000;
/** Maximum nesting depth of emphasis and links. */
const MAX_DEPTH = 6;

const ESCAPABLE = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}_]/u;
const BARE_ADDRESS = /https?:\/\/[^\s<>"'`]+/iy;

interface Found {
  readonly node: TreeNode;
  readonly end: number;
}

/** Parses the text of one block: code, bold, italic, links and line breaks. Everything else stays text. */
export function parseInline(text: string, depth = 0): TreeNode[] {
  const nodes: TreeNode[] = [];
  const searched: Searched = new Map();
  let plain = "";
  let at = 0;
  const add = (node: TreeNode): void => {
    if (plain !== "") nodes.push(plain);
    plain = "";
    nodes.push(node);
  };
  while (at < text.length) {
    const char = text[at] as string;
    if (char === "\n") {
      add(element("br"));
      at++;
      continue;
    }
    if (char === "\\" && ESCAPABLE.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const found = depth < MAX_DEPTH ? findSpan(text, at, depth, searched) : undefined;
    if (found !== undefined) {
      add(found.node);
      at = found.end;
      continue;
    }
    // Skips the whole run of a marker. Otherwise a long `***…` would be searched again from each of its characters.
    const run = char === "`" || char === "*" || char === "_" ? runLength(text, at) : 1;
    plain += text.slice(at, at + run);
    at += run;
  }
  if (plain !== "") nodes.push(plain);
  return nodes;
}

/** Per marker, the index up to which no closing marker was found. Keeps repeated searches linear in total. */
type Searched = Map<string, number>;

function findSpan(text: string, at: number, depth: number, searched: Searched): Found | undefined {
  switch (text[at]) {
    case "`":
      return codeSpan(text, at);
    case "*":
    case "_":
      return emphasis(text, at, depth, searched);
    case "[":
      return link(text, at, depth);
    case "h":
    case "H":
      return bareAddress(text, at);
    default:
      return undefined;
  }
}

function runLength(text: string, at: number): number {
  let end = at + 1;
  while (text[end] === text[at]) end++;
  return end - at;
}

function codeSpan(text: string, at: number): Found | undefined {
  const length = runLength(text, at);
  const limit = Math.min(text.length, at + length + MAX_SPAN_LENGTH);
  for (let index = at + length; index < limit;) {
    if (text[index] !== "`") {
      index++;
      continue;
    }
    const closing = runLength(text, index);
    if (closing === length) {
      const code = text.slice(at + length, index).replaceAll("\n", " ");
      return { node: element("code", [trimOne(code)]), end: index + length };
    }
    index += closing;
  }
  return undefined;
}

/** Removes one space at each end of a code span. The spaces allow code to begin or end with a backtick. */
function trimOne(code: string): string {
  const padded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
  return padded ? code.slice(1, -1) : code;
}

function emphasis(text: string, at: number, depth: number, searched: Searched): Found | undefined {
  const run = runLength(text, at);
  if (run > 3) return undefined;
  const marker = text.slice(at, at + run);
  const opensWord = !/\s/.test(text[at + run] ?? " ");
  if (!opensWord || (marker[0] === "_" && WORD.test(text[at - 1] ?? " "))) return undefined;
  const close = closingRun(text, at + run, marker, searched);
  if (close === undefined) return undefined;
  const children = parseInline(text.slice(at + run, close), depth + 1);
  const inner = run === 1 ? element("em", children) : element("strong", children);
  return { node: run === 3 ? element("em", [inner]) : inner, end: close + run };
}

/** Index of the run of markers that closes the emphasis whose text begins at `from`. */
function closingRun(text: string, from: number, marker: string, searched: Searched): number | undefined {
  const limit = Math.min(text.length, from + MAX_SPAN_LENGTH);
  const char = marker[0] as string;
  let next = Math.max(from, searched.get(marker) ?? 0);
  for (
    let index = text.indexOf(char, next);
    index !== -1 && index < limit;
    index = text.indexOf(char, next)
  ) {
    const length = runLength(text, index);
    next = index + length;
    const endsWord = !/\s/.test(text[index - 1] ?? " ");
    const free = char === "*" || !WORD.test(text[next] ?? " ");
    if (length === marker.length && endsWord && free) return index;
    searched.set(marker, next);
  }
  return undefined;
}

function link(text: string, at: number, depth: number): Found | undefined {
  const close = within(text, "]", at + 1);
  if (close === undefined || text[close + 1] !== "(") return undefined;
  const end = within(text, ")", close + 2);
  if (end === undefined) return undefined;
  const label = text.slice(at + 1, close);
  const href = safeHref(text.slice(close + 2, end));
  if (href === undefined || label.trim() === "") return undefined;
  // HTML does not allow a link inside a link.
  const children = parseInline(label, depth + 1).flatMap(withoutLinks);
  return { node: element("a", children, { href }), end: end + 1 };
}

/** Index of `char` on the same line, within {@link MAX_SPAN_LENGTH} characters of `from`. */
function within(text: string, char: string, from: number): number | undefined {
  const reach = text.slice(from, from + MAX_SPAN_LENGTH);
  const index = reach.indexOf(char);
  if (index === -1) return undefined;
  const lineEnd = reach.indexOf("\n");
  return lineEnd !== -1 && lineEnd < index ? undefined : from + index;
}

function withoutLinks(node: TreeNode): readonly TreeNode[] {
  if (typeof node === "string") return [node];
  if (node.tag === "a") return node.children;
  const plain: TreeElement = { ...node, children: node.children.flatMap(withoutLinks) };
  return [plain];
}

function bareAddress(text: string, at: number): Found | undefined {
  if (WORD.test(text[at - 1] ?? " ")) return undefined;
  BARE_ADDRESS.lastIndex = at;
  const match = BARE_ADDRESS.exec(text)?.[0];
  if (match === undefined) return undefined;
  let end = match.length;
  while (end > 0 && ".,;:!?)]}*_~".includes(match[end - 1] as string)) end--;
  const address = match.slice(0, end);
  const href = safeHref(address);
  return href === undefined ? undefined : { node: element("a", [address], { href }), end: at + end };
}
