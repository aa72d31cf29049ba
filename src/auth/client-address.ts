import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { AuthSetupError } from "./auth-setup-error.ts";
import { canonicalIpv6 } from "./host-name.ts";

/** What the transport knows of where a request came from. */
export interface AddressRequest {
  /** The peer of the TCP connection, in any spelling. */
  readonly peer: string;
  /** All X-Forwarded-For headers in order, joined by commas; undefined or empty when there is none. */
  readonly forwardedFor?: string | undefined;
}

/** Where a client is. */
export interface ClientAddress {
  /** Canonical: IPv4 in dots, IPv6 shortened, IPv4 in an IPv6 coat as IPv4. */
  readonly address: string;
  /** Who is charged for it: the address, IPv6 by its /64 such as `2001:db8:1:2::/64`. */
  readonly accountKey: string;
}

export type AddressResolver = (request: AddressRequest) => ClientAddress;

/**
 * Finds the address of clients. Only a peer in `trustedProxies` (addresses and CIDR ranges) is believed when it names
 * another; then the rightmost entry that is not itself a trusted proxy counts, since everything left of it may be forged.
 * An entry that is no address ends the search at the last good one.
 *
 * @throws AuthSetupError when a range cannot be read.
 */
export function createAddressResolver(trustedProxies: readonly string[]): AddressResolver {
  const trusted = rangesOf(trustedProxies);
  const isTrusted = (address: string) => trusted.check(address, familyOf(address));
  return ({ peer, forwardedFor }) => {
    let address = parseAddress(peer) ?? "unknown";
    if (address === "unknown" || !forwardedFor) return { address, accountKey: accountKeyOf(address) };
    const entries = forwardedFor.split(",");
    while (isTrusted(address)) {
      const entry = entries.pop();
      const next = entry === undefined ? undefined : parseAddress(entry);
      if (next === undefined) break;
      address = next;
    }
    return { address, accountKey: accountKeyOf(address) };
  };
}

/** The canonical form of an address with or without port, brackets and zone; undefined when it is none. */
export function parseAddress(text: string): string | undefined {
  const trimmed = text.trim();
  const bare =
    /^\[([^\]]*)\](?::\d{1,5})?$/.exec(trimmed)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(trimmed)?.[1] ?? trimmed;
  const [plain = ""] = bare.split("%");
  if (isIPv4(plain)) return plain;
  if (!isIPv6(plain)) return undefined;
  const canonical = canonicalIpv6(plain);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  return mapped ? dotted(mapped[1] ?? "", mapped[2] ?? "") : canonical;
}

/** Who is charged for an address: a household or server has a whole IPv6 /64, and could else take a new address for each try. */
export function accountKeyOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right];
  return `${canonicalIpv6(`${groups.slice(0, 4).join(":")}::`)}/64`;
}

function rangesOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [text = "", bitsText] = range.split("/");
    const most = isIPv6(text) ? 128 : 32;
    const bits = bitsText === undefined ? most : Number(bitsText);
    if (isIP(text) === 0 || bitsText === "" || !Number.isInteger(bits) || bits < 0 || bits > most) {
      throw new AuthSetupError(`TRUSTED_PROXIES: ${range} is no address or CIDR range`);
    }
    // A list checks IPv4 addresses against IPv6 ranges in their mapped form (::ffff:a.b.c.d) by itself.
    list.addSubnet(text, bits, familyOf(text));
  }
  return list;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

function dotted(high: string, low: string): string {
  const bytes = [high, low].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
  return bytes.join(".");
}
