import { describe, expect, it } from "vitest";
import {
  FlushScheduler,
  MAX_WINDOW_MS,
  windowFor,
  type Flushable,
} from "../../../../src/session/delivery/flush-scheduler.ts";
import { FakeEventLoop } from "../../../support/fake-event-loop.ts";
import { settle, VirtualClock } from "../../../support/virtual-clock.ts";

function bench() {
  const clock = new VirtualClock();
  const loop = new FakeEventLoop();
  const flushes = new FlushScheduler(clock, loop);
  const log: string[] = [];
  const item = (name: string, then: () => void = () => {}): Flushable => ({
    flush() {
      log.push(`${name} ${clock.now() - begin}`);
      then();
    },
  });
  const begin = clock.now();
  /** Adds one item per millisecond. */
  const feed = async (ms: number): Promise<void> => {
    for (let index = 0; index < ms; index++) {
      flushes.add(item("x"));
      await clock.pass(1);
    }
  };
  return { clock, loop, flushes, log, item, feed };
}

describe("the flush scheduler", () => {
  it("flushes all items of a turn at the end of that turn, in order", async () => {
    const { flushes, log, item } = bench();
    flushes.add(item("a"));
    flushes.add(item("b"));
    expect(log).toEqual([]);
    await settle();
    expect(log).toEqual(["a 0", "b 0"]);
    flushes.add(item("c"));
    await settle();
    expect(log).toEqual(["a 0", "b 0", "c 0"]);
  });

  it("defers items that are added during a flush to the next one", async () => {
    const { flushes, log, item } = bench();
    flushes.add(item("a", () => flushes.add(item("b"))));
    await settle();
    expect(log).toEqual(["a 0", "b 0"]);
  });

  it("flushes at most 512 items per turn, and loses none", async () => {
    const { flushes, log, item } = bench();
    for (let index = 0; index < 1200; index++) flushes.add(item(String(index)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toHaveLength(512);
    flushes.add(item("late"));
    await settle();
    expect(log).toHaveLength(1201);
    expect(log.slice(0, 3)).toEqual(["0 0", "1 0", "2 0"]);
    expect(log.at(-1)).toBe("late 0");
  });

  it("spaces flushes by up to the maximum window while the loop is full, and not when it is idle again", async () => {
    const { flushes, loop, log, feed, item } = bench();
    loop.busy = 1;
    await feed(1000);
    expect(flushes.windowMs).toBeGreaterThan(0.9 * MAX_WINDOW_MS);
    expect(flushes.windowMs).toBeLessThanOrEqual(MAX_WINDOW_MS);
    log.length = 0;
    await feed(500);
    const times = [...new Set(log.map((line) => Number(line.split(" ")[1])))];
    expect(times.length).toBeGreaterThanOrEqual(8);
    expect(times.length).toBeLessThanOrEqual(12);
    loop.busy = 0.3;
    await feed(1000);
    expect(flushes.windowMs).toBe(0);
    log.length = 0;
    flushes.add(item("y"));
    await settle();
    expect(log).toHaveLength(1);
  });

  it("flushes urgent items at the end of the turn, however full the loop is", async () => {
    const { flushes, loop, log, feed, item } = bench();
    loop.busy = 1;
    await feed(1000);
    flushes.add(item("text"));
    log.length = 0;
    flushes.addUrgent(item("end"));
    flushes.addUrgent(item("end too"));
    await settle();
    expect(log.map((line) => line.split(" ").slice(0, -1).join(" "))).toEqual(["end", "end too"]);
  });

  it("flushes the first item after a pause at once, however full the loop was before", async () => {
    const { clock, flushes, loop, log, feed, item } = bench();
    loop.busy = 1;
    await feed(1000);
    await clock.pass(2 * MAX_WINDOW_MS);
    log.length = 0;
    flushes.add(item("y"));
    await settle();
    expect(log).toHaveLength(1);
  });

  it("has no window up to a busy share of 60 %, and a linearly growing one up to 95 %", () => {
    expect([0, 0.3, 0.6].map(windowFor)).toEqual([0, 0, 0]);
    expect(windowFor(0.775)).toBeCloseTo(MAX_WINDOW_MS / 2);
    expect([0.95, 1, 2].map(windowFor)).toEqual([MAX_WINDOW_MS, MAX_WINDOW_MS, MAX_WINDOW_MS]);
  });
});
