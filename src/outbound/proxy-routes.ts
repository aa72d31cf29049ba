import { BlockList, isIP } from "node:net";
import { domainToASCII } from "node:url";

/** The proxy settings; undefined or empty: none. */
export interface ProxySettings {
  /** URL of the proxy for https:// addresses, with the scheme, which may contain a user name and a password. */
  readonly HTTPS_PROXY: string | undefined;
  /** The same for http:// addresses. */
  readonly HTTP_PROXY: string | undefined;
  /** Hosts that are reached without a proxy, separated by commas or blanks. */
  readonly NO_PROXY: string | undefined;
}

/** The proxy of a request, and the setting that holds it. */
export interface ProxyRoute {
  readonly setting: "HTTPS_PROXY" | "HTTP_PROXY";
  readonly url: URL;
}

/** Returns the proxy for a URL; null for a direct connection. */
export type ProxyRoutes = (target: URL) => ProxyRoute | null;

/** Creates the routes of the settings; null if no proxy is set. Loopback addresses never go through a proxy. */
export function createProxyRoutes(settings: ProxySettings): ProxyRoutes | null {
  const https = routeOf("HTTPS_PROXY", settings.HTTPS_PROXY);
  const http = routeOf("HTTP_PROXY", settings.HTTP_PROXY);
  if (https === null && http === null) return null;
  const bypasses = bypassOf(settings.NO_PROXY ?? "");
  return (target) => {
    const route = target.protocol === "https:" ? https : http;
    return route === null || bypasses(target) ? null : route;
  };
}

/** The proxy settings that are set, as variables for a child process. */
export function proxyEnvironment({
  HTTPS_PROXY,
  HTTP_PROXY,
  NO_PROXY,
}: ProxySettings): Record<string, string> {
  return {
    ...(HTTPS_PROXY && { HTTPS_PROXY }),
    ...(HTTP_PROXY && { HTTP_PROXY }),
    ...(NO_PROXY && { NO_PROXY }),
  };
}

function routeOf(setting: ProxyRoute["setting"], text: string | undefined): ProxyRoute | null {
  return text === undefined || text === "" ? null : { setting, url: new URL(text) };
}

/** Proxies and exceptions for the start banner, without credentials; null without a proxy. */
export function describeProxies(settings: ProxySettings): string | null {
  const routes = [
    routeOf("HTTPS_PROXY", settings.HTTPS_PROXY),
    routeOf("HTTP_PROXY", settings.HTTP_PROXY),
  ].filter((route) => route !== null);
  if (routes.length === 0) return null;
  const proxies = routes.map(({ setting, url }) => `${url.origin} (${setting})`);
  return `${proxies.join(", ")}; direct: ${["loopback addresses", ...wordsOf(settings.NO_PROXY ?? "")].join(", ")}`;
}

const wordsOf = (text: string): string[] => text.split(/[,\s]+/).filter((word) => word !== "");

/** Whether a URL is reached without a proxy. */
function bypassOf(noProxy: string): (target: URL) => boolean {
  const words = wordsOf(noProxy.toLowerCase());
  if (words.includes("*")) return () => true;
  const loopback = new BlockList();
  loopback.addSubnet("127.0.0.0", 8, "ipv4");
  loopback.addAddress("::1", "ipv6");
  const rules = words.map(ruleOf);
  return (target) => {
    const host = bareHost(target.hostname);
    if (host === "localhost" || host.endsWith(".localhost") || isListed(loopback, host)) return true;
    const port = target.port === "" ? (target.protocol === "https:" ? "443" : "80") : target.port;
    return rules.some((covers) => covers(host, port));
  };
}

type BypassRule = (host: string, port: string) => boolean;

/**
 * The rule of one word: `host`, `.host` and `*.host` cover the host and its subdomains, `10.0.0.0/8` a range of
 * addresses; a port limits the rule to it.
 */
function ruleOf(word: string): BypassRule {
  const range = /^\[?([0-9a-f:.]+)\]?\/(\d{1,3})$/.exec(word);
  if (range !== null) return rangeRule(range[1] as string, Number(range[2]));
  const withPort = isIP(word) === 0 ? /^(.+):(\d{1,5})$/.exec(word) : null;
  const wanted = bareHost((withPort?.[1] ?? word).replace(/^\*?\./, ""));
  const port = withPort?.[2];
  const suffix = wanted === "" || isIP(wanted) !== 0 ? null : `.${wanted}`;
  return (host, hostPort) =>
    (port === undefined || port === hostPort) &&
    (host === wanted || (suffix !== null && host.endsWith(suffix)));
}

function rangeRule(address: string, bits: number): BypassRule {
  const list = new BlockList();
  try {
    list.addSubnet(address, bits, isIP(address) === 6 ? "ipv6" : "ipv4");
  } catch {
    return () => false;
  }
  return (host) => isListed(list, host);
}

function isListed(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}

/** A host without brackets and trailing dot; IPv6 addresses in their shortest form, names in ASCII. */
function bareHost(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  if (isIP(bare) === 6 && !bare.includes("%")) return new URL(`http://[${bare}]`).hostname.slice(1, -1);
  return isIP(bare) === 4 ? bare : domainToASCII(bare) || bare;
}
