import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { FairTurns, type Turn } from "../../../../src/core/queues/fair-turns.ts";

interface Named extends Turn {
  readonly name: string;
}

function turn(account: string, cost: number, name = account): Named {
  return { accountKey: account, authenticated: account.startsWith("sub:"), cost, name };
}

function takeAll(turns: FairTurns<Named>): Named[] {
  const taken: Named[] = [];
  for (let next = turns.take(); next !== undefined; next = turns.take()) taken.push(next);
  return taken;
}

describe("FairTurns", () => {
  it("serves an account that has one turn after one round of another that has many", () => {
    const turns = new FairTurns<Named>();
    for (let index = 0; index < 1000; index++) turns.add(turn("addr:10.0.0.1", 8192));
    turns.add(turn("addr:10.0.0.2", 8192));
    const order = takeAll(turns).map(({ name }) => name);
    expect(order.indexOf("addr:10.0.0.2")).toBe(2);
    expect(order).toHaveLength(1001);
  });

  it("gives an account with expensive turns no more than one with cheap turns", () => {
    const turns = new FairTurns<Named>();
    for (let index = 0; index < 640; index++) turns.add(turn("addr:10.0.0.1", 1024));
    for (let index = 0; index < 10; index++) turns.add(turn("addr:10.0.0.2", 65_536));
    const served = { "addr:10.0.0.1": 0, "addr:10.0.0.2": 0 };
    for (let index = 0; index < 300; index++) {
      const next = turns.take() as Named;
      served[next.name as keyof typeof served] += next.cost;
      expect(Math.abs(served["addr:10.0.0.1"] - served["addr:10.0.0.2"])).toBeLessThanOrEqual(2 * 65_536);
    }
  });

  it("serves an authenticated client next, however many addresses wait", () => {
    const turns = new FairTurns<Named>();
    for (let index = 0; index < 1000; index++)
      turns.add(turn(`addr:10.0.${index >> 8}.${index & 255}`, 65_536));
    for (let index = 0; index < 10; index++) turns.take();
    turns.add(turn("sub:ada", 2000));
    expect(turns.take()?.name).toBe("sub:ada");
  });

  it("returns nothing when nothing waits", () => {
    const turns = new FairTurns<Named>();
    expect(turns.take()).toBeUndefined();
    turns.add(turn("sub:ada", 1));
    turns.take();
    expect(turns.take()).toBeUndefined();
  });

  it("returns each turn once and those of an account in their order, for any arrivals", () => {
    const arrivals = fc.array(
      fc.record({
        account: fc.constantFrom("sub:a", "sub:b", "addr:1", "addr:2"),
        cost: fc.integer({ min: 1, max: 100_000 }),
      }),
      { maxLength: 3000 },
    );
    fc.assert(
      fc.property(arrivals, fc.array(fc.boolean()), (added, takes) => {
        const turns = new FairTurns<Named>();
        const taken: Named[] = [];
        const all = added.map(({ account, cost }, index) => turn(account, cost, `${index}`));
        for (const [index, each] of all.entries()) {
          turns.add(each);
          const next = takes[index] === true ? turns.take() : undefined;
          if (next !== undefined) taken.push(next);
        }
        taken.push(...takeAll(turns));
        expect(turns.size).toBe(0);
        expect(taken).toHaveLength(all.length);
        for (const account of ["sub:a", "sub:b", "addr:1", "addr:2"]) {
          const isOf = (each: Named): boolean => each.accountKey === account;
          expect(taken.filter(isOf)).toEqual(all.filter(isOf));
        }
      }),
    );
  });
});
