/** The elements an answer may become. There is no way to write any other, whatever the text says. */
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
  /** Of `a`: always an absolute http or https address. */
  readonly href?: string;
  /** Of `codeblock`: letters and digits as written after the fence; may be empty. */
  readonly language?: string;
  /** Of `ol`: its first number. */
  readonly start?: number;
}

/** A string is text and stays text. */
export type TreeNode = string | TreeElement;

export function element(
  tag: TreeTag,
  children: readonly TreeNode[] = [],
  extra: Pick<TreeElement, "href" | "language" | "start"> = {},
): TreeElement {
  return { tag, children, ...extra };
}

const LONGEST_HREF = 2_048;

/** The address if it may become a link: http or https, and nothing that could pass for another host. */
export function safeHref(address: string): string | undefined {
  if (address.length > LONGEST_HREF || !/^https?:\/\//i.test(address)) return undefined;
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return undefined;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  // https://your-bank.com@elsewhere.example reads like the bank.
  if (url.username !== "" || url.password !== "") return undefined;
  return url.href;
}
