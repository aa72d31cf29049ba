export interface OriginPolicyOptions {
  /**
   * CORS_ORIGINS in canonical form: origins, `https://*.example.org`, `*` for any, `null` for pages opened from disk and
   * sandboxed iframes.
   */
  readonly allowedOrigins: readonly string[];
}

/** The relevant headers; undefined or empty when not sent. */
export interface OriginRequest {
  readonly origin: string | undefined;
  readonly host: string | undefined;
}

/**
 * `refused` requests get HTTP 403 before any upgrade. `refused_null` is a page opened from disk: its WebSocket is
 * accepted and then closed with 4403, so that its author can read the name of the setting. Messages fit a close reason
 * (123 bytes).
 */
export type OriginDecision =
  | {
      readonly outcome: "allowed";
      /** Value for `Access-Control-Allow-Origin`; absent for same-origin requests and for those without an origin. */
      readonly cors?: string;
    }
  | { readonly outcome: "refused" | "refused_null"; readonly message: string };

export interface OriginPolicy {
  check(request: OriginRequest): OriginDecision;
}

const ALLOWED: OriginDecision = { outcome: "allowed" };
/** Printable ASCII. */
const ASCII = /^[\x20-\x7e]+$/;
/** Characters of a refused origin that are shown in the message. */
const SHOWN_CHARS = 60;
/** What a wildcard stands for: whole labels of a host. */
const LABELS = /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/;
const NULL_MESSAGE = "pages opened from disk (Origin: null) may not connect to this server";

/**
 * Browsers let any page open a WebSocket to any server and only send its origin along, so the server must check it.
 * Without CORS_ORIGINS, only same-origin pages and clients that send no origin (not browsers) may connect.
 */
export function createOriginPolicy({ allowedOrigins }: OriginPolicyOptions): OriginPolicy {
  const listed = new Set(allowedOrigins);
  const patterns = allowedOrigins.filter((origin) => origin.includes("://") && origin.includes("*"));
  const isListed = (origin: string): boolean =>
    listed.has("*") || listed.has(origin) || patterns.some((pattern) => coversOrigin(pattern, origin));
  return {
    check({ origin, host }) {
      if (!origin) return ALLOWED;
      // No browser sends another one (RFC 6454, section 7), and it could not be repeated in a reply's header.
      if (!ASCII.test(origin))
        return { outcome: "refused", message: "the Origin header is not printable ASCII" };
      const lowerCase = origin.toLowerCase();
      if (isListed(lowerCase)) return { outcome: "allowed", cors: origin };
      if (lowerCase === "null") return { outcome: "refused_null", message: NULL_MESSAGE };
      if (isSameOrigin(lowerCase, host)) return ALLOWED;
      const shown = origin.length > SHOWN_CHARS ? `${origin.slice(0, SHOWN_CHARS)}…` : origin;
      return { outcome: "refused", message: `Origin ${shown} may not connect to this server` };
    },
  };
}

/**
 * Whether a pattern with a wildcard covers an origin in lower case. The wildcard stands for one or more whole labels of
 * the host, so `https://*.example.org` covers neither `https://example.org` nor `https://evil-example.org` nor
 * `https://example.org.evil.example`.
 */
function coversOrigin(pattern: string, origin: string): boolean {
  const star = pattern.indexOf("*");
  const before = pattern.slice(0, star);
  const after = pattern.slice(star + 1);
  if (star < 0 || !origin.startsWith(before) || !origin.endsWith(after)) return false;
  return LABELS.test(origin.slice(before.length, origin.length - after.length));
}

/**
 * Whether `origin` has the host and port of the `Host` header. The scheme may be http or https, since the server cannot
 * determine it behind a proxy that terminates TLS.
 */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  // Only plain `host:port` headers: URL parsing would drop parts such as `user@` and paths.
  if (!host || !/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(host)) return false;
  const url = parse(origin);
  if (url?.origin !== origin || !/^https?:$/.test(url.protocol)) return false;
  return parse(`${url.protocol}//${host}`)?.host === url.host;
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
