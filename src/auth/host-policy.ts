import { isIP } from "node:net";
import { hostName } from "./host-name.ts";

export interface HostPolicyOptions {
  /** The address that the server listens on (HOST). */
  readonly listenHost: string;
  /** ALLOWED_HOSTS. */
  readonly allowedHosts: readonly string[];
}

/** A refusal is HTTP 421, before any upgrade; its message is for people. */
export type HostVerdict = { readonly allowed: true } | { readonly allowed: false; readonly message: string };

export interface HostPolicy {
  /** Judges a `Host` header; undefined or empty means that there is none. */
  check(host: string | undefined): HostVerdict;
  /** To be logged at start; absent when there is nothing to say. */
  readonly startWarning?: string;
}

const ALLOWED: HostVerdict = { allowed: true };
const SHOWN_CHARS = 100;

/**
 * Guards against DNS rebinding: a page whose own name resolves to this machine passes every check of `Origin` against
 * `Host`, and only the name in `Host` gives it away. On a loopback address IP literals, localhost and ALLOWED_HOSTS are
 * taken; on others ALLOWED_HOSTS alone once it is set, and everything before.
 */
export function createHostPolicy({ listenHost, allowedHosts }: HostPolicyOptions): HostPolicy {
  const names = new Set(allowedHosts.map(hostName).filter((name) => name !== undefined));
  const loopback = isLoopback(listenHost);
  if (!loopback && allowedHosts.length === 0) {
    const startWarning =
      `HOST is ${listenHost} and ALLOWED_HOSTS is not set: the server answers to any name, so a web page can reach it ` +
      "through a name of its own (DNS rebinding). Set ALLOWED_HOSTS to the names it is called by.";
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
      return { allowed: false, message: `${shown} is refused: the name is not in ALLOWED_HOSTS` };
    },
  };
}

/** Whether only this machine can reach a server that listens there. */
export function isLoopback(listenHost: string): boolean {
  const name = hostName(listenHost);
  if (name === undefined) return false;
  if (name === "localhost" || name === "::1") return true;
  // ::ffff:7fxx:xxxx is 127.x.x.x in an IPv6 coat.
  return /^127\.\d+\.\d+\.\d+$/.test(name) || /^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(name);
}
