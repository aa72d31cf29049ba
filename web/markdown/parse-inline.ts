import { element, linkTo, safeHref, type TreeElement, type TreeNode } from "./markdown-tree.ts";

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
  const searched: Searched = { markers: new Map(), next: new Map(), refusedLabelEnd: -1 };
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
      if (typeof found.node === "string") plain += found.node;
      else add(found.node);
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

/** Results of earlier searches in one text. Because of them, all searches together take linear time. */
interface Searched {
  /** Per marker, the index up to which no closing marker was found. */
  readonly markers: Map<string, number>;
  /** Per kind of search, the index of its last result; Infinity if there was none. */
  readonly next: Map<string, number>;
  /** Index of the last `]` that is followed by an address that cannot be linked to. */
  refusedLabelEnd: number;
}

function findSpan(text: string, at: number, depth: number, searched: Searched): Found | undefined {
  switch (text[at]) {
    case "`":
      return codeSpan(text, at, searched);
    case "*":
    case "_":
      return emphasis(text, at, depth, searched);
    case "[":
      return link(text, at, depth, searched);
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

function codeSpan(text: string, at: number, { markers }: Searched): Found | undefined {
  const length = runLength(text, at);
  const limit = Math.min(text.length, at + length + MAX_SPAN_LENGTH);
  const key = `code ${length}`;
  let index = Math.max(at + length, markers.get(key) ?? 0);
  while (index < limit) {
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
  markers.set(key, index);
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
function closingRun(text: string, from: number, marker: string, { markers }: Searched): number | undefined {
  const limit = Math.min(text.length, from + MAX_SPAN_LENGTH);
  const char = marker[0] as string;
  let next = Math.max(from, markers.get(marker) ?? 0);
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
    markers.set(marker, next);
  }
  return undefined;
}

function link(text: string, at: number, depth: number, searched: Searched): Found | undefined {
  const close = within(text, "]", at + 1, searched);
  if (close === undefined || text[close + 1] !== "(" || close === searched.refusedLabelEnd) return undefined;
  const end = within(text, ")", close + 2, searched);
  if (end === undefined) return undefined;
  const label = text.slice(at + 1, close);
  const href = safeHref(text.slice(close + 2, end));
  if (href === undefined) searched.refusedLabelEnd = close;
  if (href === undefined || label.trim() === "") return undefined;
  // HTML does not allow a link inside a link.
  const children = parseInline(label, depth + 1).flatMap(withoutLinks);
  return { node: linkTo(href, children), end: end + 1 };
}

/** Index of `char` on the same line, within {@link MAX_SPAN_LENGTH} characters of `from`. */
function within(text: string, char: "]" | ")", from: number, searched: Searched): number | undefined {
  const index = nextOf(text, char, from, char, searched);
  if (index >= from + MAX_SPAN_LENGTH) return undefined;
  return nextOf(text, "\n", from, `line of ${char}`, searched) < index ? undefined : index;
}

/**
 * Index of `char` at or after `from`; Infinity if there is none.
 *
 * @param kind - Name of the search. The `from` of its calls must not decrease.
 */
function nextOf(text: string, char: string, from: number, kind: string, { next }: Searched): number {
  const known = next.get(kind);
  if (known !== undefined && known >= from) return known;
  const index = text.indexOf(char, from);
  const found = index === -1 ? Number.POSITIVE_INFINITY : index;
  next.set(kind, found);
  return found;
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
  // A refused address is text as a whole, including further addresses in it.
  return { node: href === undefined ? address : linkTo(href, [address]), end: at + end };
}
