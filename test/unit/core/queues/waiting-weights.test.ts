import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { WaitingWeights, type Waiter } from "../../../../src/core/queues/waiting-weights.ts";

interface Named extends Waiter {
  readonly name: string;
}

let count = 0;
const user = (accountKey: string): Named => ({
  name: `${accountKey} ${++count}`,
  accountKey,
  authenticated: accountKey.startsWith("sub:"),
});

describe("WaitingWeights", () => {
  it("removes the youngest request of the largest principal, until the newcomer is one of the largest", () => {
    const waiting = new WaitingWeights<Named>();
    const many = [user("sub:a"), user("sub:a"), user("sub:a")];
    const one = user("sub:b");
    for (const waiter of [...many, one]) waiting.add(waiter, 1);
    expect(waiting.yieldTo(one)).toBe(many[2]);
    expect(waiting.yieldTo(one)).toBe(many[1]);
    expect(waiting.yieldTo(one)).toBe(one);
    expect(waiting.size).toBe(1);
  });

  it("compares principals by their weight, not by the number of their requests", () => {
    const waiting = new WaitingWeights<Named>();
    const small = Array.from({ length: 10 }, () => user("sub:many"));
    for (const waiter of small) waiting.add(waiter, 1);
    const heavy = user("sub:heavy");
    waiting.add(heavy, 30);
    const late = user("sub:late");
    waiting.add(late, 5);
    expect(waiting.yieldTo(late)).toBe(heavy);
    expect(waiting.yieldTo(late)).toBe(small[9]);
  });

  it("adds the weights of one network", () => {
    const waiting = new WaitingWeights<Named>();
    const site = [user("addr:10.0.0.1"), user("addr:10.0.0.2")];
    for (const waiter of site) waiting.add(waiter, 3);
    const single = user("addr:10.1.0.1");
    waiting.add(single, 5);
    expect(site).toContain(waiting.yieldTo(single));
    expect(waiting.yieldTo(single)).toBe(single);
  });

  it("removes only requests of anonymous clients when asked to", () => {
    const waiting = new WaitingWeights<Named>();
    const [authenticated, visitor] = [user("sub:a"), user("addr:10.0.0.1")];
    waiting.add(authenticated, 9);
    waiting.add(visitor, 1);
    expect(waiting.anonymous).toBe(1);
    expect(waiting.yieldTo(visitor, true)).toBe(visitor);
    expect(waiting.anonymous).toBe(0);
    expect(waiting.yieldTo(visitor)).toBe(visitor);
    expect(waiting.size).toBe(1);
  });

  it("always removes the youngest of the largest, whatever happens", () => {
    const event = fc.record({
      account: fc.nat(5),
      weight: fc.integer({ min: 1, max: 40 }),
      leaves: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const waiting = new WaitingWeights<Named>();
        const entries: { readonly waiter: Named; readonly weight: number }[] = [];
        for (const { account, weight, leaves } of events) {
          if (leaves && entries.length > 0) {
            const [gone] = entries.splice(account % entries.length, 1);
            expect(waiting.remove(gone?.waiter as Named)).toBe(true);
            expect(waiting.remove(gone?.waiter as Named)).toBe(false);
            continue;
          }
          const waiter = user(`sub:${account}`);
          waiting.add(waiter, weight);
          entries.push({ waiter, weight });
          if (entries.length < 8) continue;
          const loser = waiting.yieldTo(waiter);
          const weightOf = (key: string) =>
            entries.reduce((sum, it) => sum + (it.waiter.accountKey === key ? it.weight : 0), 0);
          expect(weightOf(loser.accountKey)).toBe(
            Math.max(...entries.map((it) => weightOf(it.waiter.accountKey))),
          );
          expect(entries.findLast((it) => it.waiter.accountKey === loser.accountKey)?.waiter).toBe(loser);
          entries.splice(
            entries.findIndex((it) => it.waiter === loser),
            1,
          );
          expect(waiting.size).toBe(entries.length);
        }
      }),
    );
  });
});
