import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { CostModel } from "../../../src/engine/cost-model.ts";
import type { PreparedRequest } from "../../../src/engine/engine-port.ts";
import { FairQueue } from "../../../src/engine/fair-queue.ts";
import { Generation } from "../../../src/engine/generation.ts";
import { Slot } from "../../../src/engine/slot.ts";
import { TickLoop } from "../../../src/engine/tick-loop.ts";
import { fakeKvCache } from "../../support/fake-kv-cache.ts";
import { FakeContext, isOver, preparedRequest, recordedEvents, until } from "../../support/fake-sequence.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

// What the cache thinks to move in a millisecond before it has measured.
const FIRST_GUESS = 1_400_000;

const loops: TickLoop[] = [];
afterEach(async () => {
  await Promise.all(loops.splice(0).map((loop) => loop.stop()));
});

/** Two slots. A token takes half a millisecond, and `moveMs` to save or load. */
function setUp({ budgetBytes = 1e12, moveMs = 0.0001 } = {}) {
  const context = new FakeContext();
  const clock = new VirtualClock();
  context.onMove = (tokens) => clock.advance(tokens * moveMs);
  context.onBatch = () => {
    const tokens = context.batches.at(-1)?.items.reduce((sum, item) => sum + item.tokens + 1, 0) ?? 0;
    clock.advance(tokens / 2);
  };
  const cache = fakeKvCache(clock, budgetBytes, moveMs * FIRST_GUESS);
  const loop = new TickLoop({
    slots: [0, 1].map((id) => new Slot(context.sequence(id))),
    queue: new FairQueue<Generation>({ requests: 100, promptTokens: 1_000_000, background: 10 }),
    cost: new CostModel(0.5),
    cache,
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
    clock,
    flush: () => {},
    onFault: () => {},
  });
  void loop.start();
  loops.push(loop);
  const begin = (client: string, changes: Partial<PreparedRequest> & { length?: number } = {}) => {
    const request = { client, charge: client, conversation: "c", maxTokens: 3, ...changes };
    const events = recordedEvents();
    const generation = new Generation(
      preparedRequest(changes.length ?? 200, request),
      events,
      () => "",
      clock.now(),
    );
    loop.submit(generation);
    return { generation, events };
  };
  const ask = async (client: string, changes: Partial<PreparedRequest> & { length?: number } = {}) => {
    const { generation, events } = begin(client, changes);
    await until(() => isOver(events));
    return generation.request;
  };
  /** Nothing comes for so long. */
  const rest = async (ms: number) => {
    for (let turns = 0; turns < 20; turns++) await turn();
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns++) await turn();
  };
  const saves = () => context.moves.filter((move) => move.startsWith("save")).length;
  return { context, clock, cache, loop, begin, ask, rest, saves };
}

describe("what free slots keep", () => {
  it("is stored once the engine rests, so that a newcomer need not wait for it, and is there when its owner returns", async () => {
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
    expect(loop.stats().cachedParked).toBeGreaterThanOrEqual(200);
  });

  it("is not stored while a slot is nobody's", async () => {
    const { ask, rest, saves, clock } = setUp();
    await ask("ada");
    await rest(1000);
    expect(saves()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("is not stored while somebody is served", async () => {
    const { ask, begin, rest, saves } = setUp();
    await ask("ada");
    const { events, generation } = begin("bob", { maxTokens: 60 });
    await until(() => generation.generatedTokens > 40);
    expect(saves()).toBe(0);
    await until(() => isOver(events));
    await rest(100);
    expect(saves()).toBe(2);
  });

  it("is not stored at the cost of what is stored already", async () => {
    const { ask, rest, cache, saves } = setUp({ budgetBytes: 70_000 });
    await ask("ada");
    await ask("bob");
    await rest(100);
    const stored = cache.size;
    await ask("cy");
    await rest(100);
    expect([stored, cache.size, saves()]).toEqual([2, 2, 2]);
  });

  it("is not stored where a newcomer would wait long for it", async () => {
    const { ask, rest, context } = setUp({ moveMs: 0.07 });
    await ask("ada", { length: 2000 });
    await ask("bob", { length: 200 });
    await rest(100);
    expect(context.moves).toEqual(["save 202"]);
  });
});

describe("who does not come back", () => {
  it("has nothing stored after a while, and what is asked again is stored again", async () => {
    const { ask, saves, loop } = setUp({ moveMs: 0.05 });
    for (let user = 0; user < 200; user++) await ask(`user ${user}`, { length: 80 });
    expect(loop.stats().returnRate).toBeLessThan(0.1);
    const before = saves();
    await ask("somebody");
    await ask("somebody else");
    await ask("one more");
    expect(saves()).toBe(before);
    for (let round = 0; round < 20; round++) {
      for (let user = 0; user < 4; user++) await ask(`friend ${user}`, { length: 80 });
    }
    expect(loop.stats().returnRate).toBeGreaterThan(0.4);
    expect(saves()).toBeGreaterThan(before + 20);
  });
});
