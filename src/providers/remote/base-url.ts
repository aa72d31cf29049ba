import { isIPv4 } from "node:net";

/** A configured base URL, with the credential taken out: URLs end up in errors, headers do not. */
export interface BaseUrl {
  readonly url: string;
  /** The value for `Authorization`, where the URL held a user name or password. */
  readonly authorization: string | undefined;
  /** Whether it is an address of this machine. */
  readonly loopback: boolean;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A bare "%" in a password: it was meant as it stands.
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
