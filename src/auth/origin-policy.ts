export interface OriginPolicyOptions {
  /** CORS_ORIGINS: origins, `*` for any, `null` for pages opened from disk and sandboxed frames. */
  readonly allowedOrigins: readonly string[];
}

/** The headers that matter; undefined or empty means that the client sent none. */
export interface OriginRequest {
  readonly origin: string | undefined;
  readonly host: string | undefined;
}

/**
 * `refused` is HTTP 403 before any upgrade. `refused_null` is the page opened from disk: a WebSocket is accepted and
 * closed with 4403, so that its author can read the name of the setting. Messages fit a close reason (123 bytes).
 */
export type OriginVerdict =
  | {
      readonly outcome: "allowed";
      /** Value for `Access-Control-Allow-Origin`; absent for the own origin and for clients that send none. */
      readonly cors?: string;
    }
  | { readonly outcome: "refused" | "refused_null"; readonly message: string };

export interface OriginPolicy {
  check(request: OriginRequest): OriginVerdict;
}

const ALLOWED: OriginVerdict = { outcome: "allowed" };
const SHOWN_CHARS = 60;
const NULL_MESSAGE = "pages opened from disk (Origin: null) may not connect; CORS_ORIGINS=null allows them";

/**
 * Browsers let any page open a WebSocket to any server and only tell its origin, so the server must judge it. Without
 * CORS_ORIGINS the own origin may connect, and clients that are no browsers and send none.
 */
export function createOriginPolicy({ allowedOrigins }: OriginPolicyOptions): OriginPolicy {
  const listed = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  return {
    check({ origin, host }) {
      if (!origin) return ALLOWED;
      const wanted = origin.toLowerCase();
      if (listed.has("*") || listed.has(wanted)) return { outcome: "allowed", cors: origin };
      if (wanted === "null") return { outcome: "refused_null", message: NULL_MESSAGE };
      if (isSameOrigin(wanted, host)) return ALLOWED;
      const shown = origin.length > SHOWN_CHARS ? `${origin.slice(0, SHOWN_CHARS)}…` : origin;
      return { outcome: "refused", message: `Origin ${shown} may not connect: it is not in CORS_ORIGINS` };
    },
  };
}

/**
 * Whether `origin` names the host and port of the `Host` header. The scheme is not compared beyond http and https, since
 * behind a proxy that ends TLS the server cannot know it.
 */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  // Only the plain form of a header, so that nothing hides behind what URL parsing drops (user@, paths).
  if (!host || !/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?$/i.test(host)) return false;
  const url = parse(origin);
  if (url?.origin !== origin || !/^https?:$/.test(url.protocol)) return false;
  return parse(`${url.protocol}//${host}`)?.host === url.host;
}

function parse(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
