import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";

/**
 * The name in a `Host` header or a setting, so that two spellings of one name are equal: without port and trailing dot,
 * in small letters, IDNs in ASCII, IPv6 shortened and without brackets. Undefined when it is no host at all.
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
  // domainToASCII reads `0x7f.1` as an address, as a browser does; here only the usual spelling counts as one.
  return ascii === "" || isIPv4(ascii) ? undefined : ascii;
}

/** The shortest spelling of an IPv6 address, without a zone. */
export function canonicalIpv6(address: string): string {
  const [plain = ""] = address.split("%");
  return new URL(`http://[${plain}]`).hostname.slice(1, -1);
}
