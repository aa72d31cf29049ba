import { describe, expect, it } from "vitest";
import { ExpiryQueue } from "../../../../src/stores/memory/expiry-queue.ts";
import fc from "../../../support/property-tests.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

describe("ExpiryQueue", () => {
  it("expires each key once, at the earliest at its time and at most a second later", () => {
    const step = fc.record({
      key: fc.constantFrom("a", "b", "c", "d", "e"),
      act: fc.constantFrom("set", "delete"),
      ms: fc.nat(3000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const clock = new VirtualClock();
        const due = new Map<string, number>();
        const queue = new ExpiryQueue(clock, (key) => {
          const at = due.get(key);
          if (at === undefined) throw new Error(`${key} has expired without being set`);
          expect(clock.now()).toBeGreaterThanOrEqual(at);
          expect(clock.now()).toBeLessThanOrEqual(at + 1000);
          due.delete(key);
        });
        for (const { key, act, ms } of steps) {
          if (act === "set") {
            queue.set(key, 5000);
            due.set(key, clock.now() + 5000);
          } else {
            queue.delete(key);
            due.delete(key);
          }
          clock.advance(ms);
        }
        expect(queue.size).toBe(due.size);
        clock.advance(6000);
        expect([queue.size, due.size, clock.pending]).toEqual([0, 0, 0]);
      }),
    );
  });

  it("expires at most 500 keys in one turn", () => {
    const clock = new VirtualClock();
    let expired = 0;
    const queue = new ExpiryQueue(clock, () => expired++);
    for (let key = 0; key < 1200; key++) queue.set(String(key), 1000);
    const perTurn: number[] = [];
    while (clock.pending > 0) {
      const before = expired;
      clock.fireOne();
      perTurn.push(expired - before);
    }
    expect(perTurn).toEqual([500, 500, 200]);
  });

  it("keeps a key that is set again when it expires", () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    const queue: ExpiryQueue = new ExpiryQueue(clock, (key) => {
      times.push(clock.now());
      if (times.length < 3) queue.set(key, 2000);
    });
    const start = clock.now();
    queue.set("a", 2000);
    clock.advance(10_000);
    expect(times.map((at) => at - start)).toEqual([2000, 4000, 6000]);
  });
});
