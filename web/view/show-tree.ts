import { make, makeCopyButton } from "./dom.ts";
import type { TreeElement, TreeNode } from "../markdown/markdown-tree.ts";

/** The tree element that a DOM element shows, and the DOM element that holds its children. */
interface Drawn {
  from: TreeElement;
  readonly host: HTMLElement;
}

const drawn = new WeakMap<Node, Drawn>();

/**
 * Makes the children of `host` show `nodes` and keeps DOM nodes that are already right. A growing answer therefore only
 * appends to its last text node, and a text selection survives. Only elements of {@link TreeElement} are created, and
 * text is never parsed as HTML.
 *
 * @param unchanged - Number of nodes at the beginning that are the same as in the previous call.
 */
export function showTree(host: HTMLElement, nodes: readonly TreeNode[], unchanged = 0): void {
  for (let index = unchanged; index < nodes.length; index++) {
    const node = nodes[index] as TreeNode;
    const present = host.childNodes[index];
    if (present === undefined) host.append(draw(node));
    else if (!update(present, node)) present.replaceWith(draw(node));
  }
  while (host.childNodes.length > nodes.length) host.lastChild?.remove();
}

function update(present: ChildNode, node: TreeNode): boolean {
  if (typeof node === "string") {
    if (!(present instanceof Text)) return false;
    if (present.data === node) return true;
    if (node.startsWith(present.data)) present.appendData(node.slice(present.data.length));
    else present.data = node;
    return true;
  }
  const before = drawn.get(present);
  if (before === undefined) return false;
  const { from, host } = before;
  const same =
    from.tag === node.tag &&
    from.href === node.href &&
    from.host === node.host &&
    from.language === node.language &&
    from.start === node.start;
  if (!same) return false;
  before.from = node;
  showTree(host, node.children);
  return true;
}

function draw(node: TreeNode): Node {
  if (typeof node === "string") return document.createTextNode(node);
  const { outer, host } = drawElement(node);
  drawn.set(outer, { from: node, host });
  showTree(host, node.children);
  return outer;
}

function drawElement(node: TreeElement): { outer: HTMLElement; host: HTMLElement } {
  if (node.tag === "codeblock") return drawCode(node);
  const drawnPlain = drawPlain(node);
  return node.host === undefined ? drawnPlain : addHost(drawnPlain.outer, node.host);
}

/** Adds the host of a link after its text, inside the link. */
function addHost(outer: HTMLElement, name: string): { outer: HTMLElement; host: HTMLElement } {
  const host = make("span");
  const shown = make("span", "host", `(${name})`);
  shown.dir = "ltr";
  outer.append(host, " ", shown);
  return { outer, host };
}

function drawPlain(node: TreeElement): { outer: HTMLElement; host: HTMLElement } {
  const outer = document.createElement(node.tag);
  if (outer instanceof HTMLAnchorElement && node.href !== undefined) {
    outer.href = node.href;
    outer.title = node.href;
    outer.target = "_blank";
    outer.rel = "noopener noreferrer nofollow";
  }
  if (outer instanceof HTMLOListElement && node.start !== undefined) outer.start = node.start;
  if (node.tag === "p" || node.tag === "li") outer.dir = "auto";
  return { outer, host: outer };
}

function drawCode(node: TreeElement): { outer: HTMLElement; host: HTMLElement } {
  const host = make("code");
  const scroller = make("pre", "", host);
  scroller.tabIndex = 0;
  const bar = make("figcaption", "", make("span", "", node.language ?? ""));
  bar.append(makeCopyButton(() => host.textContent ?? ""));
  return { outer: make("figure", "code", bar, scroller), host };
}
