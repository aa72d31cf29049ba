import { describe, expect, it } from "vitest";
import { stagger } from "../../../src/session/stagger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

function run(count: number, ms: number) {
  const clock = new VirtualClock();
  const began = clock.now();
  const called: { item: number; at: number }[] = [];
  const items = Array.from({ length: count }, (_, item) => item);
  stagger(items, ms, clock, (item) => called.push({ item, at: clock.now() - began }));
  const atOnce = called.length;
  clock.advance(ms + 1000);
  expect(clock.pending).toBe(0);
  expect(called.map(({ item }) => item).toSorted((a, b) => a - b)).toEqual(items);
  return { called, atOnce };
}

describe("stagger", () => {
  it("calls every item once, evenly over the duration", () => {
    const { called } = run(5000, 10_000);
    const seconds = Array.from({ length: 10 }, (_, second) =>
      called.filter(({ at }) => Math.floor(at / 1000) === second),
    );
    for (const inSecond of seconds) {
      expect(inSecond.length).toBeGreaterThan(450);
      expect(inSecond.length).toBeLessThan(550);
    }
  });

  it("calls the items in random order", () => {
    const order = (): string =>
      run(200, 1000)
        .called.map(({ item }) => item)
        .join();
    expect(order()).not.toBe(order());
  });

  it("calls a few items at a hundred per second, in less than the duration", () => {
    expect(run(3, 10_000).atOnce).toBe(3);
    const { called } = run(100, 10_000);
    expect(called.at(-1)?.at).toBeLessThan(1000);
    expect(called.at(-1)?.at).toBeGreaterThan(800);
  });

  it("calls all items at once for a duration of zero, and accepts an empty list", () => {
    expect(run(1000, 0).atOnce).toBe(1000);
    expect(run(0, 1000).atOnce).toBe(0);
  });
});
