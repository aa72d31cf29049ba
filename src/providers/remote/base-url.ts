import { isIPv4 } from "node:net";
import type { Fetch } from "./guarded-fetch.ts";

/** A configured base URL without its credentials, because URLs appear in errors and headers do not. */
export interface BaseUrl {
  /** Without a trailing slash, the path of the chat and the query. */
  readonly url: string;
  /** The query with its `?`, such as Azure's `?api-version=2024-10-21`; empty if there is none. */
  readonly query: string;
  /** Whether the path of the chat was included. */
  readonly hasChatPath: boolean;
  /** Value of the `Authorization` header if the URL contained a user name or password. */
  readonly authorization: string | undefined;
  /** Whether the host is a loopback address. */
  readonly loopback: boolean;
}

const CHAT_PATH = "/chat/completions";

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A bare "%" in a password is meant literally.
    return part;
  }
}

/** Parses a base URL. It may include the path of the chat (`…/v1/chat/completions`) and a query. */
export function parseBaseUrl(text: string): BaseUrl {
  const url = new URL(text);
  const { username, password, hostname, search } = url;
  const pair = `${decoded(username)}:${decoded(password)}`;
  url.username = "";
  url.password = "";
  url.search = "";
  url.hash = "";
  const whole = url.toString().replace(/\/+$/, "");
  const root = whole.replace(/\/+chat\/+completions$/i, "");
  return {
    url: root,
    query: search,
    hasChatPath: root !== whole,
    authorization: username || password ? `Basic ${Buffer.from(pair).toString("base64")}` : undefined,
    loopback:
      hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127.")),
  };
}

/** URL of the model list of a server. */
export function modelsUrlOf({ url, query }: BaseUrl): string {
  return `${url}/models${query}`;
}

/** A `fetch` that sends every request to the chat of the base URL, since the SDKs lose or misplace its query. */
export function chatFetch({ url, query }: BaseUrl, fetch: Fetch): Fetch {
  return (_input, init) => fetch(`${url}${CHAT_PATH}${query}`, init);
}

/**
 * Headers that authenticate at the server: the key, else the credentials of the URL. Azure's API by version takes a key
 * in a header of its own only.
 */
export function accessHeaders(
  { authorization, query }: BaseUrl,
  apiKey: string | undefined,
): Readonly<Record<string, string>> {
  if (!apiKey) return authorization === undefined ? {} : { authorization };
  const isAzure = new URLSearchParams(query).has("api-version");
  return { authorization: `Bearer ${apiKey}`, ...(isAzure && { "api-key": apiKey }) };
}
