import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { AuthSetupError } from "./auth-setup-error.ts";
import { canonicalIpv6 } from "./host-name.ts";

/** Source of a request, as seen by the transport. */
export interface AddressRequest {
  /** Address of the TCP peer, in any notation. */
  readonly peer: string;
  /** All X-Forwarded-For headers in order, joined by commas; undefined or empty without such a header. */
  readonly forwardedFor?: string | undefined;
}

/** Address of a client. */
export interface ClientAddress {
  /** Canonical form: dotted IPv4, shortened IPv6; IPv4-mapped IPv6 addresses as IPv4. `unknown` when unreadable. */
  readonly address: string;
  /** Key that is charged: the address, or for IPv6 its /64, such as `2001:db8:1:2::/64`. */
  readonly accountKey: string;
}

export interface AddressResolver {
  (request: AddressRequest): ClientAddress;
  /** Whether a peer, in any notation, is a trusted proxy. */
  isProxy(peer: string): boolean;
}

/**
 * Creates a function that determines the address of a client. X-Forwarded-For is only used if the peer is in
 * `trustedProxies` (addresses and CIDR ranges). Its rightmost entry that is not a trusted proxy is the client, since
 * everything left of it may be forged. The search stops at an invalid entry and returns the last valid address.
 *
 * @throws AuthSetupError when a range is invalid.
 */
export function createAddressResolver(trustedProxies: readonly string[]): AddressResolver {
  const trusted = rangesOf(trustedProxies);
  const isTrusted = (address: string) =>
    trustedProxies.length > 0 && trusted.check(address, familyOf(address));
  let last: { readonly peer: string; readonly client: ClientAddress } | null = null;
  /** The client of a request without a proxy. Called when a connection opens, and usually again for its request. */
  const direct = (peer: string): ClientAddress => {
    if (last?.peer === peer) return last.client;
    const address = parseAddress(peer) ?? "unknown";
    last = { peer, client: { address, accountKey: accountKeyOf(address) } };
    return last.client;
  };
  const resolve = ({ peer, forwardedFor }: AddressRequest): ClientAddress => {
    const client = direct(peer);
    let { address } = client;
    if (address === "unknown" || !forwardedFor || !isTrusted(address)) return client;
    const entries = forwardedFor.split(",");
    while (isTrusted(address)) {
      const entry = entries.pop();
      const next = entry === undefined ? undefined : parseAddress(entry);
      if (next === undefined) break;
      address = next;
    }
    return { address, accountKey: accountKeyOf(address) };
  };
  const isProxy = (peer: string): boolean => {
    const { address } = direct(peer);
    return address !== "unknown" && isTrusted(address);
  };
  return Object.assign(resolve, { isProxy });
}

/** Canonical form of an address with or without port, brackets and zone; undefined when the text is not an address. */
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

/**
 * Key that is charged for an address. IPv6 counts by /64: that is what a household or server has, so it could otherwise
 * use a new address for every attempt.
 */
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
    const maxBits = isIPv6(text) ? 128 : 32;
    const bits = bitsText === undefined ? maxBits : Number(bitsText);
    if (isIP(text) === 0 || bitsText === "" || !Number.isInteger(bits) || bits < 0 || bits > maxBits) {
      throw new AuthSetupError(`TRUSTED_PROXIES: ${range} is not an IP address or CIDR range`);
    }
    // BlockList itself checks IPv4 addresses against IPv4-mapped IPv6 ranges (::ffff:a.b.c.d).
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
