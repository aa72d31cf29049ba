import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { AuthSetupError } from "../../../src/auth/auth-setup-error.ts";
import { accountKeyOf, createAddressResolver, parseAddress } from "../../../src/auth/client-address.ts";

function addressOf(trusted: string[], peer: string, forwardedFor?: string): string {
  return createAddressResolver(trusted)({ peer, forwardedFor }).address;
}

describe("createAddressResolver (trap 24d)", () => {
  it("ignores X-Forwarded-For when the peer is not a trusted proxy", () => {
    expect(addressOf([], "10.0.0.1", "1.2.3.4")).toBe("10.0.0.1");
    expect(addressOf(["10.9.0.0/16"], "10.0.0.1", "1.2.3.4")).toBe("10.0.0.1");
  });

  it("returns the rightmost entry that is not a trusted proxy", () => {
    const trusted = ["10.0.0.0/8", "2001:db8::/32"];
    expect(addressOf(trusted, "10.0.0.1", "6.6.6.6, 1.2.3.4")).toBe("1.2.3.4");
    expect(addressOf(trusted, "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.3.3.3, 2001:db8::9")).toBe("1.2.3.4");
    expect(addressOf(trusted, "2001:db8::1", "2001:4860::8888")).toBe("2001:4860::8888");
  });

  it("returns the leftmost entry when all are trusted, and the proxy when there is no entry", () => {
    expect(addressOf(["10.0.0.0/8"], "10.0.0.1", "10.0.0.3,10.0.0.2")).toBe("10.0.0.3");
    expect(addressOf(["10.0.0.0/8"], "10.0.0.1", "")).toBe("10.0.0.1");
    expect(addressOf(["10.0.0.0/8"], "10.0.0.1")).toBe("10.0.0.1");
  });

  it("returns the last valid address when an entry is invalid", () => {
    const trusted = ["10.0.0.0/8"];
    for (const garbage of ["unknown", "", "1.2.3", "999.1.1.1", "_hidden", "1.2.3.4:x", "[::1", "<script>"]) {
      expect(addressOf(trusted, "10.0.0.1", `1.2.3.4, ${garbage}`)).toBe("10.0.0.1");
      expect(addressOf(trusted, "10.0.0.1", `1.2.3.4, ${garbage}, 10.0.0.2`)).toBe("10.0.0.2");
    }
  });

  it("reads entries with port, brackets and zone", () => {
    const trusted = ["10.0.0.0/8"];
    expect(addressOf(trusted, "10.0.0.1", "1.2.3.4:5678")).toBe("1.2.3.4");
    expect(addressOf(trusted, "10.0.0.1", "[2001:DB8:0::1]:443")).toBe("2001:db8::1");
    expect(addressOf(trusted, "10.0.0.1", "fe80::1%eth0")).toBe("fe80::1");
  });

  it("matches an IPv4-mapped IPv6 peer of a dual-stack socket against IPv4 and IPv6 ranges", () => {
    const peer = "0000:0000:0000:0000:0000:ffff:0a00:0001";
    for (const trusted of ["10.0.0.0/8", "::ffff:10.0.0.0/104", "10.0.0.1"]) {
      expect(addressOf([trusted], peer, "::ffff:1.2.3.4")).toBe("1.2.3.4");
    }
    expect(addressOf([], peer)).toBe("10.0.0.1");
  });

  it("returns `unknown` for a peer that is not an address, and ignores its X-Forwarded-For", () => {
    expect(createAddressResolver(["0.0.0.0/0", "::/0"])({ peer: "", forwardedFor: "1.2.3.4" })).toEqual({
      address: "unknown",
      accountKey: "unknown",
    });
  });

  it.each(["x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/1.5", "::1/129", "", "a.example/8"])(
    "refuses the range %j",
    (range) => {
      expect(() => createAddressResolver([range])).toThrow(AuthSetupError);
    },
  );

  it("charges IPv4 by address and IPv6 by /64", () => {
    const resolve = createAddressResolver([]);
    expect(resolve({ peer: "1.2.3.4" }).accountKey).toBe("1.2.3.4");
    expect(resolve({ peer: "2001:db8:1:2:3:4:5:6" }).accountKey).toBe("2001:db8:1:2::/64");
    expect(resolve({ peer: "2001:db8::6" }).accountKey).toBe("2001:db8::/64");
    expect(resolve({ peer: "::1" }).accountKey).toBe("::/64");
    expect(resolve({ peer: "::ffff:1.2.3.4" }).accountKey).toBe("1.2.3.4");
  });
});

/** An address as a number; shares no code with the implementation under test. */
function toBits(address: string): bigint {
  if (address.includes(".") && !address.includes(":")) {
    const value = address.split(".").reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return (0xffffn << 32n) + value;
  }
  const [left = "", right] = address.split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right ? right.split(":") : [];
  const middle = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return [...head, ...middle, ...tail].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((bytes) => bytes.join("."));
const v6Groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 });
const v6 = v6Groups.map((groups) => groups.map((group) => group.toString(16)).join(":"));
const address = fc.oneof(v4, v6);

describe("address arithmetic", () => {
  it("matches a range exactly when the leading bits are equal", () => {
    const bit = fc.nat(127);
    fc.assert(
      fc.property(address, bit, bit, (base, flipped, length) => {
        const isV4 = base.includes(".");
        const size = isV4 ? 32 : 128;
        const bits = length % (size + 1);
        const position = flipped % size;
        const other = toBits(base) ^ (1n << BigInt(size - 1 - position));
        const groups = Array.from({ length: 8 }, (_, index) =>
          ((other >> BigInt(16 * (7 - index))) & 0xffffn).toString(16),
        );
        const peer = groups.join(":");
        const resolved = createAddressResolver([`${base}/${bits}`])({
          peer,
          forwardedFor: "203.0.113.9",
        }).address;
        expect(resolved === "203.0.113.9").toBe(position >= bits);
      }),
      { numRuns: 500 },
    );
  });

  it("gives every notation of an address the same canonical form", () => {
    fc.assert(
      fc.property(v6Groups, fc.boolean(), (groups, upper) => {
        const long = groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
        const parsed = parseAddress(upper ? long.toUpperCase() : long) ?? "";
        expect(toBits(parsed)).toBe(toBits(long));
        expect(parseAddress(parsed)).toBe(parsed);
        expect(parseAddress(`[${long}]:80`)).toBe(parsed);
      }),
    );
  });

  it("charges two IPv6 addresses to the same key exactly when their first 64 bits are equal", () => {
    fc.assert(
      fc.property(v6, v6, fc.boolean(), (one, two, sameHead) => {
        const second = sameHead ? [...one.split(":").slice(0, 4), ...two.split(":").slice(4)].join(":") : two;
        const [a = "", b = ""] = [parseAddress(one), parseAddress(second)];
        fc.pre(a.includes(":") && b.includes(":"));
        expect(accountKeyOf(a) === accountKeyOf(b)).toBe(toBits(a) >> 64n === toBits(b) >> 64n);
      }),
    );
  });

  it("returns the peer or a canonical address for any header", () => {
    const resolve = createAddressResolver(["10.0.0.0/8"]);
    const entry = fc.oneof(
      fc.string(),
      address,
      fc.constantFrom("10.1.1.1", "", "[", "]:80", "%", "1.2.3.4:99999"),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const { address: found } = resolve({ peer: "10.0.0.1", forwardedFor: entries.join(",") });
        expect(found === "10.0.0.1" || parseAddress(found) === found).toBe(true);
      }),
    );
  });
});
