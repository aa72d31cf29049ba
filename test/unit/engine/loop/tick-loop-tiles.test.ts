import { afterEach, describe, expect, it } from "vitest";
import type { Clock } from "../../../../src/core/clock.ts";
import { CostModel } from "../../../../src/engine/estimates/cost-model.ts";
import type { PreparedRequest } from "../../../../src/engine/ports.ts";
import { FairQueue } from "../../../../src/engine/scheduling/fair-queue.ts";
import { RequestState } from "../../../../src/engine/generation/request-state.ts";
import { Slot } from "../../../../src/engine/generation/slot.ts";
import { TickLoop } from "../../../../src/engine/loop/tick-loop.ts";
import { fakeKvCache } from "../../../support/fake-kv-cache.ts";
import {
  FakeContext,
  isOver,
  preparedRequest,
  recordedEvents,
  until,
} from "../../../support/fake-sequence.ts";

const TILE = 64;
const running: TickLoop[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((loop) => loop.stop()));
});

/** Runs a loop that has learned that tokens of chunks shorter than a tile cost four times as much. */
function setUp(slotCount: number) {
  const context = new FakeContext();
  let now = 0;
  const hooks = { onFlush: () => {} };
  context.onBatch = () => {
    now += 1;
  };
  const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
  const cost = new CostModel(0.1, TILE);
  for (let round = 0; round < 100; round++) {
    cost.observe(0.01 * TILE, 0, [{ tokens: TILE, depth: 0 }]);
    cost.observe(0.04 * 20, 0, [{ tokens: 20, depth: 0 }]);
  }
  const loop = new TickLoop({
    slots: Array.from({ length: slotCount }, (_, id) => new Slot(context.sequence(id))),
    queue: new FairQueue<RequestState>({ requests: 100, promptTokens: 1_000_000, background: 10 }),
    cost,
    cache: fakeKvCache(clock),
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: TILE },
    clock,
    flush: () => hooks.onFlush(),
    onFault: (error) => {
      throw error;
    },
  });
  void loop.start();
  running.push(loop);
  const submit = (changes: Partial<PreparedRequest> & { length?: number } = {}) => {
    const events = recordedEvents();
    const request = new RequestState(preparedRequest(changes.length ?? 20, changes), events, () => "x");
    loop.submit(request);
    return { events, request };
  };
  return { context, loop, submit, hooks };
}

describe("TickLoop with tiles", () => {
  it("processes the end of the reusable KV again where that fills a tile, and does not count it as cached", async () => {
    const { submit, context } = setUp(1);
    const first = submit({ length: 400, maxTokens: 1, conversation: "c" });
    await until(() => isOver(first.events));
    const tokens = [...first.request.prepared.tokens, ...Array.from({ length: 40 }, (_, at) => at)];
    const second = submit({ tokens, maxTokens: 1, conversation: "c" });
    await until(() => isOver(second.events));
    expect(second.events.lines).toContain(`started 440 ${440 - TILE} 0`);
    expect(second.events.lines.at(-1)).toBe(`finished length 440 1 ${440 - TILE}`);
    // The token that draws completes the tile.
    expect(context.batches.at(-1)?.items).toEqual([{ id: 0, tokens: TILE - 1 }]);
  });

  it("keeps all of the reusable KV where few prompt tokens are left", async () => {
    const { submit } = setUp(1);
    const first = submit({ length: 400, maxTokens: 1, conversation: "c" });
    await until(() => isOver(first.events));
    const tokens = [...first.request.prepared.tokens, 1, 2, 3];
    const second = submit({ tokens, maxTokens: 1, conversation: "c" });
    await until(() => isOver(second.events));
    expect(second.events.lines.at(-1)).toBe("finished length 403 1 400");
  });

  it("fills tiles behind a shared text, and loads that text once for each slot", async () => {
    const { submit, context, loop } = setUp(4);
    const system = Array.from({ length: 250 }, (_, index) => index + 100);
    const all = [1, 2, 3, 4].map((index) => {
      const tokens = [...system, ...Array.from({ length: 40 }, (_, at) => index * 1000 + at)];
      const client = `anon:${index}`;
      return submit({ tokens, sharedTokens: 250, sharedKey: "s", maxTokens: 2, client, accountKey: client });
    });
    await until(() => all.every(({ events }) => isOver(events)));
    const cached = all.map(({ events }) => Number(events.lines.at(-1)?.split(" ").at(-1)));
    expect(cached.toSorted((a, b) => a - b)).toEqual([0, 290 - TILE, 290 - TILE, 290 - TILE]);
    expect([...context.files.values()]).toEqual([system]);
    expect(context.moves).toEqual(["save 250", "load 250", "load 250", "load 250"]);
    expect(loop.stats().cachedShared).toBe(3 * (290 - TILE));
  });

  it("sends a first token while other prompts of its step are still being processed", async () => {
    const { submit, context, hooks } = setUp(2);
    context.separateBatches = true;
    const short = submit({ length: 5, maxTokens: 3 });
    const long = submit({ length: 300, maxTokens: 3 });
    const hasText = ({ events }: typeof short) => events.lines.some((line) => line.startsWith("delta"));
    let sent = false;
    hooks.onFlush = () => (sent = hasText(short));
    let atSecondBatch: readonly boolean[] = [];
    context.onBatch = () => {
      if (context.batches.length === 2) atSecondBatch = [sent, hasText(long)];
    };
    await until(() => isOver(short.events) && isOver(long.events));
    expect(atSecondBatch).toEqual([true, false]);
  });
});
