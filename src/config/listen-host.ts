import { isIP } from "node:net";
import type { Setting } from "./setting.ts";

const ALLOWED = "IP address or host name, without scheme, port and path";

/** A host name of DNS labels, also in other scripts. */
const NAME =
  /^[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?(\.[\p{L}\p{N}_]([\p{L}\p{N}_-]*[\p{L}\p{N}_])?)*\.?$/u;

/** The address to listen on. IPv6 addresses may be in brackets. */
export function listenHost(fallback: string, doc: string): Setting<string> {
  const parse = (value: string): string => {
    const host = value.trim();
    const bare = /^\[(.*)\]$/.exec(host)?.[1] ?? host;
    if (isIP(bare) === 6 || isIP(host) === 4) return bare;
    if (NAME.test(host) && !/^[\d.]+$/.test(host)) return host;
    throw new Error(`allowed: ${ALLOWED}${adviceFor(host)}`);
  };
  return { parse, fallback, allowed: ALLOWED, shownDefault: fallback, doc, secret: false };
}

function adviceFor(host: string): string {
  if (host === "*" || host === "0" || host === "+")
    return " (0.0.0.0 listens on all addresses, :: on those of IPv6 too)";
  if (/^[a-z+]*:\/\//i.test(host)) return " (set only the address here, and the port in PORT)";
  if (/^(\[.*\]|[^:]*):\d+$/.test(host)) return " (set the port in PORT)";
  if (/[,\s]/.test(host)) return " (one address; 0.0.0.0 listens on all)";
  return "";
}
