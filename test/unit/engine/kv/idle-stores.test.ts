import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { TickLoop } from "../../../../src/engine/loop/tick-loop.ts";
import { FIRST_ANSWER_TOKEN, isOver, preparedRequest, until } from "../../../support/fake-sequence.ts";
import { loopBench, type LoopBenchOptions } from "../../../support/loop-bench.ts";

const loops: TickLoop[] = [];
afterEach(async () => {
  await Promise.all(loops.splice(0).map((loop) => loop.stop()));
});

function setUp(options: Partial<LoopBenchOptions> = {}) {
  const bench = loopBench({ slots: 2, tokenMs: 0.5, ...options });
  const { context, clock, loop } = bench;
  loops.push(loop);
  /** Lets time pass without requests. */
  const rest = async (ms: number) => {
    for (let turns = 0; turns < 20; turns++) await turn();
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns++) await turn();
  };
  const saves = () => context.moves.filter((move) => move.startsWith("save")).length;
  return { ...bench, rest, saves };
}

describe("IdleStores", () => {
  it("stores the KV of free slots once the engine is idle, and loads it when the owner returns", async () => {
    const { ask, rest, saves, context, loop } = setUp();
    const first = await ask("ada");
    await ask("bob");
    await rest(99);
    expect(saves()).toBe(0);
    await rest(1);
    expect(saves()).toBe(2);
    await ask("cy");
    expect(saves()).toBe(2);
    await ask("ada", { tokens: [...first.tokens, 5, 6] });
    expect(context.moves.filter((move) => move.startsWith("load"))).toHaveLength(1);
    expect(loop.stats().cachedStored).toBeGreaterThanOrEqual(200);
  });

  it("stores a conversation once, from the more recently used of its two slots", async () => {
    const { begin, rest, context, clock } = setUp();
    const both = [150, 250].map((length) => begin("ada", { length, maxTokens: length === 150 ? 3 : 9 }));
    await until(() => both.every(({ events }) => isOver(events)));
    await rest(100);
    expect(context.moves).toEqual(["save 258"]);
    await rest(1000);
    expect(context.moves).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });

  it("does not overwrite a state with the shorter KV of an older slot of the same conversation", async () => {
    const { begin, ask, rest, context } = setUp();
    const older = preparedRequest(150).tokens;
    const newer = [...older, FIRST_ANSWER_TOKEN, FIRST_ANSWER_TOKEN + 1, ...preparedRequest(100).tokens];
    const both = [older, newer].map((tokens) =>
      begin("ada", { tokens, maxTokens: tokens === older ? 3 : 9 }),
    );
    await until(() => both.every(({ events }) => isOver(events)));
    await rest(100);
    expect(context.moves).toEqual(["save 260"]);
    await Promise.all([ask("bob"), ask("cy")]);
    expect(context.moves).toEqual(["save 260"]);
    await ask("ada", { tokens: [...newer, 5, 6] });
    expect(context.moves).toContain("load 260");
  });

  it("does not store an unused slot again after its state was dropped", async () => {
    const { ask, rest, cache, saves, loop } = setUp();
    await ask("ada");
    await ask("bob");
    await rest(100);
    cache.drop(cache.key("ada", "c"));
    loop.forget({ client: "unknown" });
    await rest(1000);
    expect(saves()).toBe(2);
  });

  it("stores nothing while a slot without an owner is free", async () => {
    const { ask, rest, saves, clock } = setUp();
    await ask("ada");
    await rest(1000);
    expect(saves()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("stores nothing while a request runs", async () => {
    const { ask, begin, rest, saves } = setUp();
    await ask("ada");
    const { events, request } = begin("bob", { maxTokens: 60 });
    await until(() => request.generatedTokens > 40);
    expect(saves()).toBe(0);
    await until(() => isOver(events));
    await rest(100);
    expect(saves()).toBe(2);
  });

  it("stores nothing that would evict a stored state", async () => {
    const { ask, rest, cache, saves } = setUp({ budgetBytes: 70_000 });
    await ask("ada");
    await ask("bob");
    await rest(100);
    const stored = cache.size;
    await ask("cy");
    await rest(100);
    expect([stored, cache.size, saves()]).toEqual([2, 2, 2]);
  });

  it("does not store a slot whose store would delay a new request for long", async () => {
    const { ask, rest, context } = setUp({ moveMs: 0.07 });
    await ask("ada", { length: 2000 });
    await ask("bob", { length: 200 });
    await rest(100);
    expect(context.moves).toEqual(["save 202"]);
  });
});

describe("the return rate", () => {
  it("stops storing while no conversation returns, and resumes when conversations return", async () => {
    const { ask, saves, loop } = setUp({ moveMs: 0.05 });
    for (let user = 0; user < 200; user++) await ask(`user ${user}`, { length: 80 });
    expect(loop.stats().returnRate).toBeLessThan(0.1);
    const before = saves();
    await ask("user a");
    await ask("user b");
    await ask("user c");
    expect(saves()).toBe(before);
    for (let round = 0; round < 20; round++) {
      for (let user = 0; user < 4; user++) await ask(`regular ${user}`, { length: 80 });
    }
    expect(loop.stats().returnRate).toBeGreaterThan(0.4);
    expect(saves()).toBeGreaterThan(before + 20);
  });
});
