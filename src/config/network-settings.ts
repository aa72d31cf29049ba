import { anyText, type Setting } from "./setting.ts";

interface Doc {
  readonly doc: string;
}

const PROXY_ALLOWED = "URL of an HTTP proxy, such as http://proxy.example.org:3128, or empty for none";

/**
 * URL of an HTTP proxy. Like in other programs, the scheme may be missing (`proxy.example.org:3128`) and an empty value
 * means none. Secret as a whole, since it may contain a password.
 */
function proxy(doc: Doc): Setting<string | undefined> {
  const parse = (value: string): string | undefined => {
    const text = value.trim();
    if (text === "") return undefined;
    const full = text.includes("://") ? text : `http://${text}`;
    const url = URL.canParse(full) ? new URL(full) : undefined;
    // A proxy has no path. A `/`, `?` or `#` is part of a password, and what is before it would be taken for the host.
    const isWhole = url !== undefined && `${url.pathname}${url.search}${url.hash}` === "/";
    if (!isWhole || !/^https?:$/.test(url.protocol)) {
      const hint = /^socks/i.test(text)
        ? "SOCKS is not supported"
        : "in a password, @, :, /, ? and # are escaped";
      throw new Error(`allowed: ${PROXY_ALLOWED} (${hint})`);
    }
    return full;
  };
  const shown = { allowed: PROXY_ALLOWED, shownDefault: "", secret: true };
  return { parse, fallback: undefined, ...shown, ...doc };
}

/** Settings of outgoing connections. Their names in lower case work as well and take precedence, as in other programs. */
export const networkSettings = {
  HTTPS_PROXY: proxy({
    doc:
      "Proxy for https:// addresses: remote providers and the download of models. May contain a user name and a password. " +
      "Loopback addresses are always reached directly. `https_proxy` works as well and takes precedence.",
  }),
  HTTP_PROXY: proxy({
    doc: "The same for http:// addresses. `http_proxy` works as well and takes precedence.",
  }),
  NO_PROXY: anyText("", {
    doc:
      "Hosts that are reached without a proxy, separated by commas: `example.org` covers its subdomains too, " +
      "`example.org:8443` one port, `10.0.0.0/8` a range of addresses, `*` everything. `no_proxy` works as well and takes " +
      "precedence.",
  }),
} as const satisfies Record<string, Setting<unknown>>;

/** Settings whose names are also read in lower case. */
const NAMES = Object.keys(networkSettings);

/** Whether a variable is a proxy setting in lower case. */
export function isProxyName(name: string): boolean {
  return NAMES.includes(name.toUpperCase()) && name === name.toLowerCase();
}

/** Copies variables with lower-case names (`https_proxy`) to the names of their settings. */
export function withProxyNames(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const lower = NAMES.map((name) => [name, env[name.toLowerCase()]] as const);
  return { ...env, ...Object.fromEntries(lower.filter(([, value]) => value !== undefined)) };
}
