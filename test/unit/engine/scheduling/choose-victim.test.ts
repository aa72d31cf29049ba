import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { chooseVictim, type Claim, type Holding } from "../../../../src/engine/scheduling/slot-choice.ts";

const holding = (id: number, accountKey: string, changes: Partial<Holding> = {}): Holding => ({
  id,
  accountKey,
  arrivedAt: id,
  left: 100,
  moveCost: 10,
  background: false,
  ...changes,
});
const claims = (all: Record<string, Partial<Claim>>) => (accountKey: string) => ({
  counter: 0,
  waiting: 0,
  held: 0,
  cap: 1,
  ...all[accountKey],
});

describe("chooseVictim", () => {
  it("chooses the youngest request of a principal above its share", () => {
    const holdings = [holding(0, "a"), holding(1, "a"), holding(2, "a"), holding(3, "b")];
    const of = claims({ a: { held: 3, cap: 2 }, b: { held: 1, cap: 2 }, c: { cap: 1, waiting: 1 } });
    expect(chooseVictim(holdings, "c", of)).toBe(2);
  });

  it("prefers a request that is cheap to move, and spares one that is nearly done", () => {
    const holdings = [holding(0, "a"), holding(1, "a", { moveCost: 900 }), holding(2, "a", { left: 2 })];
    expect(chooseVictim(holdings, "b", claims({ a: { held: 3, cap: 2 }, b: { waiting: 1 } }))).toBe(0);
  });

  it("chooses a background job before any request", () => {
    const holdings = [holding(0, "a"), holding(1, "b", { background: true })];
    expect(chooseVictim(holdings, "c", claims({ a: { held: 2 } }))).toBe(1);
  });

  it("chooses no request for a principal that already has its share", () => {
    const holdings = [holding(0, "a"), holding(1, "a"), holding(2, "a"), holding(3, "b")];
    expect(
      chooseVictim(holdings, "b", claims({ a: { held: 3, cap: 2 }, b: { held: 1, cap: 1, waiting: 1 } })),
    ).toBeUndefined();
  });

  it("with more principals than slots, chooses only a principal with requests waiting that is well ahead", () => {
    const holdings = [holding(0, "a"), holding(1, "b")];
    const of = (a: Partial<Claim>) => claims({ a: { held: 1, ...a }, b: { held: 1 }, c: { waiting: 1 } });
    expect(chooseVictim(holdings, "c", of({ counter: 500, waiting: 3 }))).toBe(0);
    expect(chooseVictim(holdings, "c", of({ counter: 500, waiting: 0 }))).toBeUndefined();
    expect(chooseVictim(holdings, "c", of({ counter: 20, waiting: 3 }))).toBeUndefined();
  });

  it("never chooses the waiting principal, nor a principal within its share that is not ahead", () => {
    const any = fc.record({
      counter: fc.nat(1000),
      waiting: fc.nat(3),
      cap: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(any, { minLength: 3, maxLength: 3 }),
        fc.array(fc.nat(2), { maxLength: 12 }),
        (standing, owners) => {
          const held = (index: number) => owners.filter((owner) => owner === index).length;
          const of = (accountKey: string): Claim => {
            const index = Number(accountKey);
            return { ...(standing[index] as (typeof standing)[number]), held: held(index) };
          };
          const id = chooseVictim(
            owners.map((owner, slot) => holding(slot, `${owner}`)),
            "0",
            of,
          );
          if (id === undefined) return;
          const victim = of(`${owners[id]}`);
          expect(owners[id]).not.toBe(0);
          expect(victim.held > victim.cap || victim.counter > of("0").counter).toBe(true);
        },
      ),
    );
  });
});
