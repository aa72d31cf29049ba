import { isIP } from "node:net";
import { hostName } from "./host-name.ts";

export interface HostPolicyOptions {
  /** Address that the server listens on (HOST). */
  readonly listenHost: string;
  /** ALLOWED_HOSTS. */
  readonly allowedHosts: readonly string[];
}

/** A refused request gets HTTP 421 before any upgrade, with `message` as body. */
export type HostDecision = { readonly allowed: true } | { readonly allowed: false; readonly message: string };

export interface HostPolicy {
  /** Checks a `Host` header; undefined or empty without one. */
  check(host: string | undefined): HostDecision;
  /** Warning to log at start; absent when the configuration is safe. */
  readonly startWarning?: string;
}

const ALLOWED: HostDecision = { allowed: true };
/** Characters of a refused host that are shown in the message. */
const SHOWN_CHARS = 100;

/**
 * Guards against DNS rebinding. A page on a domain that resolves to this machine passes any check of `Origin` against
 * `Host`, so only the name in `Host` reveals it. When listening on a loopback address, IP literals, localhost and
 * ALLOWED_HOSTS are accepted. Otherwise only ALLOWED_HOSTS are accepted, or every host while that is not set.
 */
export function createHostPolicy({ listenHost, allowedHosts }: HostPolicyOptions): HostPolicy {
  const names = new Set(allowedHosts.map(hostName).filter((name) => name !== undefined));
  const loopback = isLoopback(listenHost);
  if (!loopback && allowedHosts.length === 0) {
    const startWarning =
      `HOST is ${listenHost} and ALLOWED_HOSTS is not set: the server accepts any host name, so a web page can reach it ` +
      "through a domain of its own (DNS rebinding). Set ALLOWED_HOSTS to the host names that clients use.";
    return { check: () => ALLOWED, startWarning };
  }
  return {
    check(host) {
      const name = hostName(host ?? "");
      if (name !== undefined && names.has(name)) return ALLOWED;
      if (name !== undefined && loopback && (name === "localhost" || isIP(name) !== 0)) return ALLOWED;
      const shown = host
        ? `Host ${JSON.stringify(host.slice(0, SHOWN_CHARS))}`
        : "A request without a Host header";
      return { allowed: false, message: `${shown} is refused: this server does not accept that host name` };
    },
  };
}

/** Whether a server that listens on this host is only reachable from the same machine. */
export function isLoopback(listenHost: string): boolean {
  const name = hostName(listenHost);
  if (name === undefined) return false;
  if (name === "localhost" || name === "::1") return true;
  // ::ffff:7fxx:xxxx is the IPv4-mapped form of 127.x.x.x.
  return /^127\.\d+\.\d+\.\d+$/.test(name) || /^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(name);
}
