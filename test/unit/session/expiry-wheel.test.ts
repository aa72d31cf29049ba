import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ExpiryWheel } from "../../../src/session/expiry-wheel.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const secondOf = (clock: VirtualClock) => clock.wall() / 1000;

/** Adds an item that calls `expired`, and returns a function that removes it. */
function cancellable(wheel: ExpiryWheel, at: number, expired: () => void): () => void {
  const item = { expired };
  const second = wheel.add(at, item);
  return () => wheel.remove(second, item);
}

describe("ExpiryWheel", () => {
  it("expires each item once, not before its time and at most two seconds after it", () => {
    const entry = fc.record({
      at: fc.double({ min: -5, max: 100, noNaN: true }),
      wait: fc.integer({ min: 0, max: 3000 }),
    });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 30 }), (entries) => {
        const clock = new VirtualClock();
        const wheel = new ExpiryWheel(clock);
        const begin = secondOf(clock);
        const fired: number[] = [];
        const added: number[] = [];
        entries.forEach(({ at, wait }, index) => {
          clock.advance(wait);
          added[index] = secondOf(clock);
          wheel.add(begin + at, {
            expired() {
              expect(fired[index]).toBeUndefined();
              fired[index] = secondOf(clock);
            },
          });
        });
        clock.advance(200_000);
        entries.forEach(({ at }, index) => {
          const due = Math.max(begin + at, added[index] as number);
          expect(fired[index]).toBeGreaterThanOrEqual(begin + at);
          expect(fired[index]).toBeLessThanOrEqual(due + 2);
        });
        expect(clock.pending).toBe(0);
      }),
    );
  });

  it("shares one timer between all items, and has none after all were removed", () => {
    const clock = new VirtualClock();
    const wheel = new ExpiryWheel(clock);
    const cancels = Array.from({ length: 1000 }, (_, index) =>
      cancellable(wheel, secondOf(clock) + 10 + (index % 7), () => expect.unreachable()),
    );
    expect(clock.pending).toBe(1);
    for (const cancel of cancels) cancel();
    cancels[0]?.();
    clock.advance(1000);
    expect(clock.pending).toBe(0);
  });

  it("expires at most 500 items in one turn, and honours a removal in between", () => {
    const clock = new VirtualClock();
    const wheel = new ExpiryWheel(clock);
    let fired = 0;
    const cancels = Array.from({ length: 1200 }, () =>
      cancellable(wheel, secondOf(clock) + 3, () => fired++),
    );
    const perTurn: number[] = [];
    while (clock.pending > 0) {
      const before = fired;
      clock.fireOne();
      if (fired > before) perTurn.push(fired - before);
      if (perTurn.length === 1) cancels.at(-1)?.();
    }
    expect(perTurn).toEqual([500, 500, 199]);
  });

  it("allows an item to remove others while it expires", () => {
    const clock = new VirtualClock();
    const wheel = new ExpiryWheel(clock);
    const fired: string[] = [];
    const cancels: (() => void)[] = [];
    for (const name of ["a", "b"]) {
      cancels.push(
        cancellable(wheel, secondOf(clock) + 5, () => {
          fired.push(name);
          for (const cancel of cancels) cancel();
        }),
      );
    }
    clock.advance(10_000);
    expect(fired).toEqual(["a"]);
  });

  it("follows a wall clock that is set forward or backward", () => {
    const clock = new VirtualClock();
    const wheel = new ExpiryWheel(clock);
    const fired: string[] = [];
    cancellable(wheel, secondOf(clock) + 3600, () => fired.push("hour"));
    cancellable(wheel, secondOf(clock) + 10 * 86_400, () => fired.push("days"));
    clock.shiftWall(7_200_000);
    clock.advance(1000);
    expect(fired).toEqual(["hour"]);
    clock.shiftWall(-7_200_000);
    cancellable(wheel, secondOf(clock) + 5, () => fired.push("soon"));
    clock.advance(7000);
    expect(fired).toEqual(["hour", "soon"]);
    clock.shiftWall(30 * 86_400_000);
    clock.advance(1000);
    expect(fired).toEqual(["hour", "soon", "days"]);
    expect(clock.pending).toBe(0);
  });
});
