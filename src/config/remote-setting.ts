import type { Setting } from "./setting.ts";

interface Doc {
  readonly doc: string;
}

const KEY_ALLOWED = "letters, digits and punctuation of ASCII, without spaces and line breaks";
const URL_ALLOWED = "URL that begins with http:// or https://";

/** Ends of paths of other APIs than the chat completions. */
const OTHER_APIS =
  /(?:(?<!\/chat)\/completions|\/responses|\/embeddings|\/messages|\/v\d+\/(?:models|chat)|\/api\/(?:chat|generate|tags))$/i;
/** Pairs of quotes that are copied along with a value. */
const QUOTED = /^(?:"(.*)"|'(.*)'|`(.*)`|[“”„](.*)[“”]|[‘’‚](.*)[‘’]|«(.*)»|»(.*)«)$/s;

/** A pasted value without surrounding whitespace, quotes and the word `Bearer`. */
function unwrapped(text: string): string {
  const word = text.trim().replace(/^bearer(?:\s+|$)/i, "");
  const inner = QUOTED.exec(word)
    ?.slice(1)
    .find((group) => group !== undefined);
  return inner === undefined ? word : unwrapped(inner);
}

/**
 * An API key or token, which is sent in a header. Surrounding whitespace and quotes and a leading `Bearer` are removed;
 * any other character that no header can hold is refused.
 */
export function headerKey(doc: Doc): Setting<string | undefined> {
  const parse = (value: string): string | undefined => {
    const key = unwrapped(value);
    const bad = /[^\x21-\x7e]/u.exec(key);
    const fault = bad === null ? "" : ` (it contains ${nameOf(bad[0])} at character ${bad.index + 1})`;
    if (key === "" || bad !== null) throw new Error(`allowed: ${KEY_ALLOWED}${fault}`);
    return key;
  };
  return { parse, fallback: undefined, allowed: KEY_ALLOWED, shownDefault: "", secret: true, ...doc };
}

/**
 * Base URL of a server with a chat completions API. A query and the path of the chat are kept; a fragment, the path of
 * another API and invisible characters are refused.
 */
export function baseUrl(doc: Doc): Setting<string | undefined> {
  const parse = (value: string): string | undefined => {
    const text = unwrapped(value);
    const fault = urlFault(text);
    if (fault !== undefined) throw new Error(`allowed: ${URL_ALLOWED}${fault === "" ? "" : ` (${fault})`}`);
    return text;
  };
  return { parse, fallback: undefined, allowed: URL_ALLOWED, shownDefault: "", secret: false, ...doc };
}

/** Why a text is not a base URL; empty if that is obvious. */
function urlFault(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return "";
  const bad = /[\s\p{C}]/u.exec(text);
  if (bad !== null) return `it contains ${nameOf(bad[0])} at character ${bad.index + 1}`;
  if (url.hash !== "") return "without a fragment; in a password, # is written %23";
  if (OTHER_APIS.test(url.pathname.replace(/\/+$/, ""))) {
    return "its path belongs to another API; use the base of the chat completions, which usually ends with /v1";
  }
  return undefined;
}

const NAMES: Readonly<Record<string, string>> = {
  " ": "a space",
  "\t": "a tab",
  "\n": "a line break",
  "\r": "a line break",
  "\0": "a NUL character",
  "\u00A0": "a no-break space",
  "\u00AD": "a soft hyphen",
  "\u200B": "a zero-width space",
  "\u200C": "a zero-width character",
  "\u200D": "a zero-width character",
  "\u2060": "a zero-width character",
  "\uFEFF": "a byte order mark",
  "\uFFFD": "a character that was damaged by a wrong encoding",
};

/** A character in words. It may be part of a key, whose other characters are never shown. */
function nameOf(char: string): string {
  const code = `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
  const name = NAMES[char];
  return name === undefined ? `the character ${code}` : `${name} (${code})`;
}
