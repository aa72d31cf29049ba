import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { accountKeyOf, parseAddress } from "../../../src/auth/client-address.ts";
import { classOf, networksOf } from "../../../src/core/principal.ts";

describe("the networks of an account", () => {
  it.each([
    ["sub:ada", "authenticated", []],
    ["sub:addr:1.2.3.4", "authenticated", []],
    ["addr:unknown", "anonymous", []],
    ["addr:192.0.2.77", "anonymous", ["addr:192.0.2.0/24"]],
    ["addr:2001:db8:1:2ab::/64", "anonymous", ["addr:2001:db8:1::/48", "addr:2001:db8:1:200::/56"]],
    ["addr:2001:db8::/64", "anonymous", ["addr:2001:db8:0::/48", "addr:2001:db8:0:0::/56"]],
    ["addr:0:0:1:2::/64", "anonymous", ["addr:0:0:1::/48", "addr:0:0:1:0::/56"]],
    ["addr:::/64", "anonymous", ["addr:0:0:0::/48", "addr:0:0:0:0::/56"]],
  ])("%s: %s, %j", (accountKey, kind, networks) => {
    expect(classOf(accountKey)).toBe(kind);
    expect(networksOf(accountKey)).toEqual(networks);
  });

  it("are the same exactly for addresses with the same first bits, in any notation", () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(fc.tuple(group, group, group, group), fc.tuple(group, group), ([a, b, c, d], [e, f]) => {
        // 32 zero bits in front could be an IPv4-mapped address.
        fc.pre(a !== 0);
        const keyOf = (...groups: number[]) => {
          const text = [...groups, 0, 0, 0, 1].map((each) => each.toString(16)).join(":");
          return networksOf(`addr:${accountKeyOf(parseAddress(text) as string)}`);
        };
        expect(keyOf(a, b, c, d)).toHaveLength(2);
        expect(keyOf(a, b, c, e)[0]).toBe(keyOf(a, b, c, d)[0]);
        expect(keyOf(a, b, c, e)[1] === keyOf(a, b, c, d)[1]).toBe(e >> 8 === d >> 8);
        expect(keyOf(a, b, f, d)[0] === keyOf(a, b, c, d)[0]).toBe(f === c);
      }),
    );
  });
});
