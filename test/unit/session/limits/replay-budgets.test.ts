import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ReplayBudgets } from "../../../../src/session/limits/replay-budgets.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

function make() {
  const clock = new VirtualClock();
  return { clock, budgets: new ReplayBudgets({ bytesPerSecond: 1000, maxKeys: 10_000, clock }) };
}

/** Bytes that these accounts can take at once, in steps of 100. */
function takeAll(budgets: ReplayBudgets, accounts: readonly string[]): number {
  let bytes = 0;
  for (const account of accounts) while (budgets.take(account, 100) === 0) bytes += 100;
  return bytes;
}

describe("ReplayBudgets", () => {
  it("give an account its rate and twice as much at once", () => {
    const { budgets, clock } = make();
    expect(takeAll(budgets, ["sub:ada"])).toBe(2000);
    expect(budgets.take("sub:ada", 100)).toBe(100);
    clock.advance(1000);
    expect(takeAll(budgets, ["sub:ada"])).toBe(1000);
  });

  it("give all addresses of one network the budget of one address: half of that of their class", () => {
    const { budgets, clock } = make();
    const site = Array.from({ length: 500 }, (_, index) => `addr:2001:db8:1:${index.toString(16)}::/64`);
    let [ofSite, ofOther] = [0, 0];
    for (let quarter = 0; quarter < 40; quarter++) {
      ofSite += takeAll(budgets, site);
      clock.advance(125);
      ofOther += takeAll(budgets, ["addr:192.0.2.1"]);
      clock.advance(125);
    }
    expect(ofSite).toBeLessThanOrEqual(12_000);
    expect(ofOther).toBeGreaterThanOrEqual(8000);
  });

  it("give all anonymous clients twice the rate of one address, and subjects their own", () => {
    const { budgets, clock } = make();
    const many = Array.from({ length: 500 }, (_, index) => `addr:10.0.${index % 250}.${index}`);
    expect(takeAll(budgets, many)).toBe(500);
    expect(takeAll(budgets, ["sub:ada"])).toBe(2000);
    clock.advance(250);
    expect(takeAll(budgets, many)).toBe(500);
  });

  it("take nothing when they refuse, and grant the bytes after the time that they report", () => {
    const account = fc.constantFrom(
      "sub:a",
      "sub:b",
      "addr:192.0.2.1",
      "addr:192.0.2.2",
      "addr:2001:db8::/64",
    );
    const step = fc.record({
      account,
      bytes: fc.integer({ min: 1, max: 3000 }),
      pause: fc.nat({ max: 500 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { budgets, clock } = make();
        for (const { account: key, bytes, pause } of steps) {
          clock.advance(pause);
          const wait = budgets.take(key, bytes);
          if (wait === 0) continue;
          expect(budgets.take(key, bytes)).toBe(wait);
          clock.advance(Math.ceil(wait));
          expect(budgets.take(key, bytes)).toBe(0);
        }
      }),
    );
  });

  it("let later bytes wait for a charge", () => {
    const { budgets, clock } = make();
    budgets.charge("sub:ada", 5000);
    expect(budgets.take("sub:ada", 1)).toBe(3001);
    clock.advance(3001);
    expect(budgets.take("sub:ada", 1)).toBe(0);
    expect(budgets.size).toBe(1);
  });
});
