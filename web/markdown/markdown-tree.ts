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
  extra: Pick<TreeElement, "href" | "language" | "start"> = {},
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
