import { isIP } from "node:net";

/** Schemes whose pages have no origin of their own: browsers send `null`, or the origin of the page that opened them. */
const SCHEMES_WITHOUT_ORIGIN = new Set(["about", "blob", "data", "javascript", "view-source", "ws", "wss"]);

/** The host of an app, with an optional port. Some apps have none, or a placeholder such as `-` or `.`. */
const APP_HOST = /^[a-z0-9._-]*(:\d{1,5})?$/;

const HINT = "an origin is scheme://host[:port], such as https://chat.example.org or tauri://localhost";
const WILDCARD_HINT = "* may only stand for whole subdomains, as in https://*.example.org";

/**
 * Canonical form of one word of CORS_ORIGINS, which is what browsers send or a pattern of it: lower case, without a
 * trailing slash and a default port. Accepts `*`, `null`, origins of web pages, origins of apps and extensions
 * (`tauri://localhost`, `file://`), `https://*.example.org`, and `moz-extension://*`, since each installation has its
 * own host.
 *
 * @throws Error that states the fault, for a word that no browser could ever match
 */
export function canonicalOriginPattern(word: string): string {
  const text = word.toLowerCase();
  if (text === "*" || text === "null") return text;
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*?)\/*$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) throw new Error(HINT);
  if (SCHEMES_WITHOUT_ORIGIN.has(scheme)) throw new Error(`no page has an origin with ${scheme}://; ${HINT}`);
  if (scheme === "http" || scheme === "https") return webPattern(scheme, rest);
  if (rest === "*" || APP_HOST.test(rest)) return `${scheme}://${rest}`;
  throw new Error(rest.includes("*") ? `${scheme}://* stands for every host of that scheme` : HINT);
}

function webPattern(scheme: string, rest: string): string {
  const wildcard = rest.startsWith("*.");
  const authority = wildcard ? rest.slice(2) : rest;
  if (authority.includes("*") || authority === "") throw new Error(authority === "" ? HINT : WILDCARD_HINT);
  const url = URL.canParse(`${scheme}://${authority}`) ? new URL(`${scheme}://${authority}`) : undefined;
  if (url === undefined || url.href !== `${url.origin}/`) throw new Error(HINT);
  if (!wildcard) return url.origin;
  if (isIP(url.hostname.replaceAll(/[[\]]/g, "")) !== 0) throw new Error(WILDCARD_HINT);
  return url.origin.replace("://", "://*.");
}
