import { isIPv4 } from "node:net";

/** A configured base URL without its credentials, because URLs appear in errors and headers do not. */
export interface BaseUrl {
  readonly url: string;
  /** Value of the `Authorization` header if the URL contained a user name or password. */
  readonly authorization: string | undefined;
  /** Whether the host is a loopback address. */
  readonly loopback: boolean;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A bare "%" in a password is meant literally.
    return part;
  }
}

export function parseBaseUrl(text: string): BaseUrl {
  const url = new URL(text);
  const { username, password, hostname } = url;
  const pair = `${decoded(username)}:${decoded(password)}`;
  url.username = "";
  url.password = "";
  return {
    url: url.toString().replace(/\/+$/, ""),
    authorization: username || password ? `Basic ${Buffer.from(pair).toString("base64")}` : undefined,
    loopback:
      hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127.")),
  };
}
