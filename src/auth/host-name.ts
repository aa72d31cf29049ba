import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/**
 * Canonical form of the host in a `Host` header or a setting, so that equal hosts compare equal: without port and
 * trailing dot, in lower case, IDNs in ASCII, IPv6 shortened and without brackets. Undefined when the text is not a
 * host.
 */
export function hostName(text: string): string | undefined {
  const host = text.trim();
  if (isIPv6(host)) return canonicalIpv6(host);
  const bracketed = /^\[([0-9a-f:.]+)\](?::\d{1,5})?$/i.exec(host)?.[1];
  if (bracketed !== undefined) return isIPv6(bracketed) ? canonicalIpv6(bracketed) : undefined;
  const name = host
    .replace(/:\d{1,5}$/, "")
    .replace(/\.$/, "")
    .toLowerCase();
  if (name === "" || /[\s/\\@?#*:[\]%]/.test(name)) return undefined;
  if (isIPv4(name)) return name;
  const ascii = domainToASCII(name);
  // Like a browser, domainToASCII converts `0x7f.1` to an address. Only dotted decimal addresses are accepted here.
  return ascii === "" || isIPv4(ascii) ? undefined : ascii;
}

/** The shortest notation of an IPv6 address, without a zone. */
export function canonicalIpv6(address: string): string {
  const [plain = ""] = address.split("%");
  return new URL(`http://[${plain}]`).hostname.slice(1, -1);
}
