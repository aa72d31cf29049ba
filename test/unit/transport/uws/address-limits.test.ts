import { describe, expect, it } from "vitest";
import { AddressLimits } from "../../../../src/transport/uws/address-limits.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

function bench(maxConnections: number, upgradesPerMinute: number) {
  const clock = new VirtualClock();
  return { clock, addresses: new AddressLimits({ maxConnections, upgradesPerMinute, clock }) };
}

describe("AddressLimits", () => {
  it("refuses sockets over the limit of an address until one has closed", () => {
    const { addresses } = bench(2, 1000);
    addresses.opened("a");
    addresses.opened("a");
    expect(addresses.refusal("a")).toMatchObject({ limit: "address_connections", flood: false });
    expect(addresses.refusal("b")).toBeNull();
    addresses.closed("a");
    expect(addresses.refusal("a")).toBeNull();
    addresses.closed("a");
    expect(addresses.size).toBe(0);
  });

  it("counts every upgrade, refused ones too, and returns the time until the next is allowed", () => {
    const { addresses, clock } = bench(100, 60);
    for (let index = 0; index < 60; index++) expect(addresses.refusal("a")).toBeNull();
    expect(addresses.refusal("a")).toEqual({ limit: "upgrade_rate", retryAfterMs: 1000, flood: false });
    expect(addresses.refusal("b")).toBeNull();
    clock.advance(1000);
    expect(addresses.refusal("a")).toBeNull();
    expect(addresses.refusal("a")).toMatchObject({ limit: "upgrade_rate" });
  });

  it("reports a flood after the same number of refusals was ignored", () => {
    const { addresses, clock } = bench(100, 10);
    const floods = Array.from({ length: 25 }, () => addresses.refusal("a")?.flood ?? false);
    expect(floods.indexOf(true)).toBe(20);
    expect(floods.slice(20)).not.toContain(false);
    clock.advance(120_000);
    expect(addresses.refusal("a")).toBeNull();
  });

  it("drops addresses without sockets and with full budgets", () => {
    const { addresses, clock } = bench(100, 60);
    for (let index = 0; index < 5000; index++) {
      addresses.refusal(`a${index}`);
      addresses.opened(`a${index}`);
      addresses.closed(`a${index}`);
    }
    expect(addresses.budgets).toBe(5000);
    clock.advance(60_000);
    expect([addresses.size, addresses.budgets]).toEqual([0, 0]);
  });
});
