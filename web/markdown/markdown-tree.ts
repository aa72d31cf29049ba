/** Elements that an answer can contain. No text can produce any other element. */
export type TreeTag =
  | "p"
  | "h3"
  | "h4"
  | "h5"
  | "h6"
  | "ul"
  | "ol"
  | "li"
  | "blockquote"
  | "hr"
  | "codeblock"
  | "code"
  | "strong"
  | "em"
  | "a"
  | "br";

export interface TreeElement {
  readonly tag: TreeTag;
  readonly children: readonly TreeNode[];
  /** Only on `a`: an absolute http or https URL. */
  readonly href?: string;
  /** Only on `a`: the host of the URL, to be shown beside the link. Absent if the text of the link shows it already. */
  readonly host?: string;
  /** Only on `codeblock`: the language name after the fence, empty if there is none. */
  readonly language?: string;
  /** Only on `ol`: the number of the first item. */
  readonly start?: number;
}

/** A text or an element. Text is never parsed again. */
export type TreeNode = string | TreeElement;

/** Creates a {@link TreeElement}. */
export function element(
  tag: TreeTag,
  children: readonly TreeNode[] = [],
  extra: Pick<TreeElement, "href" | "host" | "language" | "start"> = {},
): TreeElement {
  return { tag, children, ...extra };
}

/** Maximum length of a link address, in characters. */
const MAX_HREF_LENGTH = 2_048;

/** Returns the normalized URL if it is safe to link to: http or https, without credentials. Otherwise undefined. */
export function safeHref(address: string): string | undefined {
  if (address.length > MAX_HREF_LENGTH || !/^https?:\/\//i.test(address)) return undefined;
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return undefined;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  // https://your-bank.com@evil.example looks like a link to the bank.
  if (url.username !== "" || url.password !== "") return undefined;
  return url.href;
}

/** The text in a tree, without line breaks. */
export function textOf(nodes: readonly TreeNode[]): string {
  return nodes.map((node) => (typeof node === "string" ? node : textOf(node.children))).join("");
}

/**
 * An address in printable ASCII with a host in lower case: no character is invisible, changes the direction of text or
 * resembles a letter of another script.
 */
const PLAIN_ADDRESS = /^https?:\/\/([a-z0-9.:[\]-]+)(?=$|[/?#])[!-~]*$/;

/**
 * Creates a link. Its host is shown beside it, unless the text of the link is an address whose host reads exactly as
 * that of the URL. Any other text could name another host, in more ways than can be recognized.
 *
 * @param href - A result of {@link safeHref}.
 */
export function linkTo(href: string, children: readonly TreeNode[]): TreeElement {
  const { host } = new URL(href);
  const shown = PLAIN_ADDRESS.exec(textOf(children))?.[1];
  return element("a", children, shown === host ? { href } : { href, host });
}
