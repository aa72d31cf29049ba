import { describe, expect, it } from "vitest";
import { WorkQueue, type LoopPace, type Work } from "../../../../src/engine/scheduling/work-queue.ts";

/** A queue whose every piece takes 1 ms, beside a loop whose state the test sets. */
function setUp(pace: LoopPace = { idle: true, steps: 0, tickMs: 0 }) {
  const state = { ...pace };
  const log: string[] = [];
  let now = 0;
  let turns: (() => void)[] = [];
  const queue = new WorkQueue({
    pace: state,
    maxBackground: 2,
    now: () => now,
    defer: (turn) => turns.push(turn),
  });
  const work = (accountKey: string, pieces: number, changes: Partial<Work> = {}): Work => {
    let left = pieces;
    const next = (): number | undefined => {
      now++;
      log.push(accountKey);
      return --left > 0 ? 1000 : undefined;
    };
    return {
      accountKey,
      client: accountKey,
      weight: 1,
      size: pieces * 1000,
      background: false,
      next,
      ...changes,
    };
  };
  /** Runs one turn of the event loop. @returns how many pieces it did */
  const turn = (): number => {
    const before = log.length;
    const due = turns;
    turns = [];
    for (const run of due) run();
    return log.length - before;
  };
  const finish = () => {
    while (turns.length > 0) turn();
  };
  return { queue, state, log, work, turn, finish };
}

describe("WorkQueue", () => {
  it("does the pieces of all principals in turn, however much one of them has queued", () => {
    const { queue, log, work, finish } = setUp();
    for (let index = 0; index < 50; index++) queue.add(work("heavy", 10));
    queue.add(work("light", 3));
    finish();
    expect(log.lastIndexOf("light")).toBeLessThan(8);
    expect(log.filter((name) => name === "heavy")).toHaveLength(500);
    expect(queue.size).toBe(0);
  });

  it("shares the part of a principal among its clients", () => {
    const { queue, log, work, finish } = setUp();
    for (let index = 0; index < 20; index++) queue.add(work("addr:a", 10, { client: "one" }));
    const other = work("addr:a", 2, { client: "two" });
    queue.add({ ...other, next: () => (log.push("two"), other.next()) });
    finish();
    expect(log.lastIndexOf("two")).toBeLessThan(12);
  });

  it("works at most 5 ms in a turn of the event loop", () => {
    const { queue, work, turn } = setUp();
    queue.add(work("a", 100));
    for (let index = 0; index < 20; index++) expect(turn()).toBe(5);
    expect(queue.size).toBe(0);
  });

  it("works at most a quarter of the length of the steps while they run", () => {
    const { queue, state, work, turn } = setUp({ idle: false, steps: 1, tickMs: 40 });
    queue.add(work("a", 1000));
    expect([turn(), turn()]).toEqual([5, 0]);
    state.steps++;
    queue.proceed();
    expect([turn(), turn(), turn()]).toEqual([5, 5, 0]);
    state.tickMs = 1;
    let done = 0;
    for (let step = 0; step < 100; step++) {
      state.steps++;
      queue.proceed();
      done += turn();
    }
    expect(done).toBe(25);
  });

  it("continues when the loop becomes idle", () => {
    const { queue, state, work, turn, finish } = setUp({ idle: false, steps: 1, tickMs: 4 });
    queue.add(work("a", 100));
    expect([turn(), turn()]).toEqual([5, 0]);
    state.idle = true;
    queue.proceed();
    finish();
    expect(queue.size).toBe(0);
  });

  it("drops cancelled work, before its first piece and between two", () => {
    const { queue, log, work, turn, finish } = setUp();
    const [begun, waiting] = [work("a", 100), work("b", 100)];
    queue.add(begun);
    expect(turn()).toBe(5);
    queue.add(waiting);
    queue.cancel(begun);
    queue.cancel(waiting);
    queue.cancel(waiting);
    finish();
    expect(log).toHaveLength(5);
    expect(queue.size).toBe(0);
  });

  it("drops work that is cancelled during its own piece", () => {
    const { queue, log, work, finish } = setUp();
    const inner = work("a", 100);
    const cancelling: Work = { ...inner, next: () => (queue.cancel(cancelling), inner.next()) };
    queue.add(cancelling);
    finish();
    expect(log).toEqual(["a"]);
  });

  it("does background work only while no other work waits, and bounds it", () => {
    const { queue, log, work, finish } = setUp();
    const background = { background: true };
    expect(queue.add(work("back", 3, background))).toBe(true);
    expect(queue.add(work("back", 3, background))).toBe(true);
    expect(queue.add(work("back", 3, background))).toBe(false);
    queue.add(work("a", 3));
    finish();
    expect(log).toEqual(["a", "a", "a", ...Array.from({ length: 6 }, () => "back")]);
  });
});
