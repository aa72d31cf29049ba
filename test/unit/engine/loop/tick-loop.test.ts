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
  FIRST_ANSWER_TOKEN,
  isOver,
  preparedRequest,
  recordedEvents,
  until,
} from "../../../support/fake-sequence.ts";

const detokenize = (tokens: readonly number[]) =>
  tokens.map((token) => `${token - FIRST_ANSWER_TOKEN} `).join("");

/** Each batch takes 10 ms on this clock. */
function setUp(slotCount: number, queueLimit = 100, kvBytes = 0) {
  const context = new FakeContext();
  let now = 0;
  context.onBatch = () => {
    now += 10;
  };
  const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
  const sequences = Array.from({ length: slotCount }, (_, id) => context.sequence(id));
  const faults: unknown[] = [];
  const queue = new FairQueue<RequestState>({
    requests: queueLimit,
    promptTokens: 1_000_000,
    background: 10,
  });
  const loop = new TickLoop({
    slots: sequences.map((sequence) => new Slot(sequence)),
    queue,
    cost: new CostModel(0.1),
    ...(kvBytes > 0 && { cache: fakeKvCache(clock, kvBytes) }),
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 64, tileTokens: 1 },
    clock,
    flush: () => {},
    onFault: (error) => faults.push(error),
  });
  void loop.start();
  running.push(loop);
  const submit = (changes: Partial<PreparedRequest> & { length?: number } = {}) => {
    const events = recordedEvents();
    const request = new RequestState(preparedRequest(changes.length ?? 20, changes), events, detokenize);
    const accepted = loop.submit(request);
    return { events, request, accepted };
  };
  return { context, sequences, loop, queue, faults, submit, advance: (ms: number) => (now += ms) };
}

const running: TickLoop[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((loop) => loop.stop()));
});

describe("TickLoop", () => {
  it("delivers the whole answer of a request", async () => {
    const { submit } = setUp(2);
    const { events } = submit({ length: 20, maxTokens: 3 });
    await until(() => isOver(events));
    expect(events.lines).toEqual([
      "started 20 0 0",
      "delta 0  1",
      "delta 1  1",
      "delta 2  1",
      "finished length 20 3 0",
    ]);
  });

  it("serves all generating slots in one batch per step, in ascending order of id", async () => {
    const { submit, context } = setUp(4);
    const all = Array.from({ length: 4 }, () => submit({ length: 2, maxTokens: 6 }));
    await until(() => all.every(({ events }) => isOver(events)));
    expect(context.batches.filter(({ items }) => items.length === 4).length).toBeGreaterThanOrEqual(5);
    for (const { items } of context.batches) {
      const ids = items.map(({ id }) => id);
      expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    }
  });

  it("processes several prompts in one batch, including a chunk of the first one", async () => {
    const { submit, context } = setUp(6);
    const all = [200, 40, 300, 17, 90, 33].map((length) => submit({ length, maxTokens: 20 }));
    await until(() => all.every(({ events }) => isOver(events)));
    const prompts = context.batches.map(({ items }) => items.filter(({ tokens }) => tokens > 0).length);
    expect(Math.max(...prompts)).toBeGreaterThan(1);
  });

  it("draws the first token in the step that ends the prompt", async () => {
    const { submit, context } = setUp(2);
    const { events } = submit({ length: 20, maxTokens: 3 });
    await until(() => isOver(events));
    expect(context.batches.map(({ items }) => items)).toEqual([
      [{ id: 0, tokens: 19 }],
      [{ id: 0, tokens: 0 }],
      [{ id: 0, tokens: 0 }],
    ]);
  });

  it("keeps generating while a long prompt is processed", async () => {
    const { submit, context } = setUp(2);
    const first = submit({ length: 2, maxTokens: 100 });
    await until(() => first.events.lines.length > 3);
    const from = context.batches.length;
    const second = submit({ length: 640, maxTokens: 1 });
    await until(() => isOver(second.events));
    const during = context.batches.slice(from).filter(({ items }) => items.some(({ tokens }) => tokens > 0));
    expect(during.length).toBeGreaterThanOrEqual(10);
    for (const { items } of during)
      expect(items.some(({ id, tokens }) => id === 0 && tokens === 0)).toBe(true);
  });

  it("reports the queue position of a waiting request at once, and later positions at most twice a second", async () => {
    const { submit, advance } = setUp(1);
    const first = submit({ maxTokens: 400 });
    await until(() => first.events.lines.length > 2);
    const waiting = [1, 2, 3].map(() => submit({ maxTokens: 1 }));
    expect(waiting.map(({ events }) => events.lines)).toEqual([["queued 1"], ["queued 2"], ["queued 3"]]);
    advance(600);
    await until(() => waiting.every(({ events }) => isOver(events)));
    const last = waiting[2]?.events.lines ?? [];
    const positions = last.filter((line) => line.startsWith("queued"));
    // At most one more position after the first: less than a second has passed.
    expect(positions.length).toBeLessThanOrEqual(2);
    expect(last[positions.length]).toBe("started 20 1 0");
  });

  it("reports no queue position to a request that gets a slot at once", async () => {
    const { submit } = setUp(3);
    const all = [1, 2, 3, 4].map(() => submit());
    expect(all.map(({ events }) => events.lines)).toEqual([[], [], [], ["queued 1"]]);
    await until(() => all.every(({ events }) => isOver(events)));
  });

  it("refuses a request over the queue limit with a retry delay", async () => {
    const { submit, loop } = setUp(1, 2);
    const first = submit({ maxTokens: 50 });
    await until(() => first.events.lines.length > 0);
    submit();
    submit();
    expect(submit().accepted).toBe(false);
    expect(loop.overloaded()).toMatchObject({ code: "overloaded", retryAfterMs: expect.any(Number) });
    expect(loop.stats()).toMatchObject({ waiting: 2, running: 1 });
  });

  it("removes a cancelled request from the queue at once", async () => {
    const { submit, loop } = setUp(1);
    const first = submit({ maxTokens: 30 });
    const second = submit();
    const third = submit();
    loop.cancel(second.request);
    expect(loop.stats().waiting).toBe(2);
    await until(() => isOver(third.events) && isOver(first.events));
    expect(second.events.lines).toEqual(["queued 1"]);
  });

  it("stops a prompt between two chunks when its request is cancelled", async () => {
    const { submit, loop, context } = setUp(1);
    const { events, request } = submit({ length: 6400 });
    await until(() => context.batches.length >= 3);
    loop.cancel(request);
    await until(() => loop.stats().running === 0);
    expect(context.batches.length).toBeLessThan(6);
    expect(events.lines.filter((line) => line.startsWith("delta"))).toEqual([]);
  });

  it("stops an answer between two tokens when its request is cancelled", async () => {
    const { submit, loop, context } = setUp(1);
    const { events, request } = submit({ maxTokens: 1000 });
    await until(() => events.lines.length > 5);
    loop.cancel(request);
    const [batches, lines] = [context.batches.length, events.lines.length];
    await until(() => loop.stats().running === 0);
    expect(context.batches.length - batches).toBeLessThanOrEqual(1);
    expect(events.lines.length).toBe(lines);
  });

  it("keeps the KV of a conversation and reports the exact number of cached prompt tokens", async () => {
    const { submit } = setUp(3);
    const first = submit({ length: 30, maxTokens: 3, conversation: "c" });
    await until(() => isOver(first.events));
    // The last token of an answer is drawn but never processed.
    const turns = [...first.request.tokens(0, 32), 8, 9, 10];
    const second = submit({ tokens: turns, maxTokens: 1, conversation: "c" });
    await until(() => isOver(second.events));
    expect(second.events.lines.at(-1)).toBe("finished length 35 1 32");
    const again = submit({ tokens: turns, maxTokens: 1, conversation: "c" });
    await until(() => isOver(again.events));
    expect(again.events.lines.at(-1)).toBe("finished length 35 1 34");
  });

  it("reuses only the prefix that all clients share from another client's KV", async () => {
    const { submit } = setUp(1);
    const first = submit({ length: 30, maxTokens: 1, client: "anon:a" });
    await until(() => isOver(first.events));
    const tokens = first.request.prepared.tokens;
    const other = submit({ tokens, sharedTokens: 12, maxTokens: 1, client: "anon:b" });
    await until(() => isOver(other.events));
    expect(other.events.lines.at(-1)).toBe("finished length 30 1 12");
  });

  it("reports the progress of a prompt that takes over a second, at most twice a second", async () => {
    const { submit, context, advance } = setUp(1);
    context.onBatch = () => advance(200);
    const { events } = submit({ length: 1000, maxTokens: 1 });
    await until(() => isOver(events));
    const progress = events.lines.filter((line) => line.startsWith("progress"));
    expect(progress.length).toBeGreaterThan(2);
    expect(progress.length).toBeLessThanOrEqual(context.batches.length / 2);
    expect(progress[0]).toMatch(/^progress \d+\/1000$/);
  });

  it("reports the progress of a prompt that waits in its slot while others are processed first", async () => {
    const { submit, context, advance } = setUp(3);
    context.onBatch = () => advance(200);
    const long = [submit({ length: 3000, maxTokens: 1 }), submit({ length: 3000, maxTokens: 1 })];
    await until(() => long.every(({ events }) => events.lines.some((line) => line.startsWith("progress"))));
    const last = submit({ length: 2999, maxTokens: 1 });
    const begun = () => context.batches.some(({ items }) => items.some(({ id }) => id === 2));
    await until(() => begun() || last.events.lines.some((line) => line.startsWith("progress")));
    expect(begun()).toBe(false);
    expect(last.events.lines.filter((line) => line.startsWith("progress"))).toEqual(["progress 0/2999"]);
    await until(() => [...long, last].every(({ events }) => isOver(events)));
  });

  it("fails only the faulty request when a batch fails, and continues the others", async () => {
    const { submit, context, sequences, faults } = setUp(3);
    const good = submit({ length: 5, maxTokens: 40 });
    const long = submit({ length: 400, maxTokens: 4 });
    await until(() => good.events.lines.length > 4);
    context.poison.add(31_337);
    const bad = submit({ tokens: [1, 2, 31_337, 4, 5], maxTokens: 3 });
    await until(() => [good, long, bad].every(({ events }) => isOver(events)));
    expect(bad.events.lines.at(-1)).toBe("failed Eval has failed");
    expect(good.events.lines.at(-1)).toBe("finished length 5 40 0");
    expect(good.events.text()).toBe(Array.from({ length: 40 }, (_, index) => `${index} `).join(""));
    expect(long.events.lines.at(-1)).toBe("finished length 400 4 0");
    expect(faults.length).toBeGreaterThan(0);
    // Answers restart after the fault with a different seed.
    const seeds = sequences.flatMap(({ seeds: used }) => used);
    expect(seeds.some((seed) => seed !== 7)).toBe(true);
    const next = submit({ length: 9 });
    await until(() => isOver(next.events));
    expect(next.events.lines.at(-1)).toMatch(/^finished/);
  });

  it.each([
    ["with its state stored", 1e6],
    ["with its prompt processed again", 0],
  ])(
    "preempts the youngest answer of a principal above its share, %s, and loses no token of it",
    async (_, bytes) => {
      const { submit, loop, context } = setUp(4, 100, bytes);
      const heavy = Array.from({ length: 4 }, () => submit({ length: 100, maxTokens: 60 }));
      await until(() => heavy.every(({ events }) => events.lines.length > 12));
      const light = [1, 2].map((index) =>
        submit({ length: 5, maxTokens: 3, client: `sub:${index}`, accountKey: `sub:${index}` }),
      );
      await until(() => light.every(({ events }) => isOver(events)));
      expect(loop.stats().preemptions).toBe(2);
      expect(heavy.filter(({ events }) => isOver(events))).toEqual([]);
      await until(() => heavy.every(({ events }) => isOver(events)));
      for (const { events } of heavy) {
        expect(events.lines[0]).toBe("started 100 0 0");
        expect(events.lines.filter((line) => line.startsWith("started"))).toHaveLength(1);
        expect(events.lines.at(-1)).toBe("finished length 100 60 0");
        expect(events.text()).toBe(Array.from({ length: 60 }, (__, index) => `${index} `).join(""));
      }
      const loads = context.moves.filter((move) => move.startsWith("load"));
      expect(loads.length > 0).toBe(bytes > 0);
    },
  );

  it("reports a queue position to a preempted request", async () => {
    const { submit } = setUp(2);
    const heavy = [1, 2].map(() => submit({ length: 10, maxTokens: 200 }));
    await until(() => heavy.every(({ events }) => events.lines.length > 12));
    const light = submit({ length: 5, maxTokens: 80, client: "sub:1", accountKey: "sub:1" });
    await until(() => [light, ...heavy].every(({ events }) => isOver(events)));
    const preempted = heavy.filter(({ events }) => events.lines.some((line) => line.startsWith("queued")));
    expect(preempted).toHaveLength(1);
    for (const { events } of heavy) {
      expect(events.lines[0]).toBe("started 10 0 0");
      expect(events.lines.at(-1)).toBe("finished length 10 200 0");
    }
  });

  it("charges each principal for the tokens it was served, and for none twice after a preemption", async () => {
    const { submit, queue } = setUp(2);
    const keeper = submit({ length: 3, maxTokens: 4000, client: "k", accountKey: "k" });
    const first = submit({ length: 50, maxTokens: 30, accountKey: "a" });
    submit({ length: 50, maxTokens: 3000, accountKey: "a" });
    await until(() => first.events.lines.length > 4);
    const other = submit({ length: 5, maxTokens: 3, client: "b", accountKey: "b" });
    await until(() => isOver(other.events) && isOver(first.events));
    const standing = queue.standing("a");
    const second = (standing?.counter ?? 0) - 50 - 30;
    expect(second).toBeGreaterThanOrEqual(0);
    expect(second).toBeLessThanOrEqual(keeper.events.lines.length + 50);
  });

  it("restores a conversation from its stored state and counts its tokens as cached", async () => {
    const { submit, loop } = setUp(1, 100, 1e6);
    const first = submit({ length: 200, maxTokens: 3, conversation: "c" });
    await until(() => isOver(first.events));
    const between = submit({ length: 200, maxTokens: 3, client: "anon:b" });
    await until(() => isOver(between.events));
    const tokens = [...first.request.tokens(0, 202), 8, 9];
    const again = submit({ tokens, maxTokens: 1, conversation: "c" });
    await until(() => isOver(again.events));
    expect(again.events.lines.at(-1)).toBe("finished length 204 1 202");
    expect(loop.stats()).toMatchObject({ cachedStored: 202, storedStates: 2 });
    const stolen = submit({ tokens, maxTokens: 1, conversation: "c", client: "anon:thief" });
    await until(() => isOver(stolen.events));
    expect(stolen.events.lines.at(-1)).toBe("finished length 204 1 1");
  });

  it("processes a shared text once and stores it without any token of a client", async () => {
    const { submit, context, loop } = setUp(4, 100, 1e6);
    const system = Array.from({ length: 150 }, (_, index) => index);
    const all = [1, 2, 3, 4].map((index) => {
      const tokens = [...system, ...Array.from({ length: 20 }, (_, at) => index * 1000 + at)];
      const client = `anon:${index}`;
      return submit({ tokens, sharedTokens: 150, sharedKey: "s", maxTokens: 2, client, accountKey: client });
    });
    await until(() => all.every(({ events }) => isOver(events)));
    const cached = all.map(({ events }) => Number(events.lines.at(-1)?.split(" ").at(-1)));
    expect(cached.toSorted((a, b) => a - b)).toEqual([0, 150, 150, 150]);
    expect([...context.files.values()]).toEqual([system]);
    expect(context.moves).toEqual(["save 150", "load 150", "load 150", "load 150"]);
    expect(loop.stats().cachedShared).toBe(450);
  });

  it("processes a background prompt while no request waits, and gives its slot to the next request at once", async () => {
    const { submit, loop, context } = setUp(1, 100, 1e6);
    const job = submit({ length: 640, maxTokens: 0, background: true, conversation: "context" });
    await until(() => context.batches.length >= 2);
    const chat = submit({ length: 5, maxTokens: 2, client: "anon:b", accountKey: "b" });
    await until(() => isOver(chat.events));
    expect(isOver(job.events)).toBe(false);
    await until(() => isOver(job.events));
    expect(job.events.lines).toEqual(["finished stop 640 0 0"]);
    expect(loop.stats()).toMatchObject({ running: 0, waiting: 0 });
    const asked = submit({ tokens: [...job.request.prepared.tokens, 5, 6], maxTokens: 1 });
    await until(() => isOver(asked.events));
    expect(asked.events.lines.at(-1)).toBe("finished length 642 1 640");
  });

  it("fails only the request that could not be given its slot, and gives the slot to the next one", async () => {
    const { submit, sequences, loop, faults } = setUp(1);
    const [sequence] = sequences;
    const first = submit({ maxTokens: 3 });
    await until(() => isOver(first.events));
    const truncate = sequence?.truncate.bind(sequence);
    let calls = 0;
    Object.assign(sequence ?? {}, {
      truncate: async (count: number) => {
        if (++calls === 1) throw new Error("cannot truncate");
        await truncate?.(count);
      },
    });
    const second = submit({ maxTokens: 3 });
    const third = submit({ maxTokens: 3 });
    await until(() => isOver(second.events) && isOver(third.events));
    expect(second.events.lines).toEqual(["failed cannot truncate"]);
    expect(third.events.lines.at(-1)).toBe("finished length 20 3 0");
    expect(faults).toEqual([new Error("cannot truncate")]);
    expect(loop.stats()).toMatchObject({ running: 0, waiting: 0 });
  });

  it("processes a prompt whose stored state cannot be loaded", async () => {
    const { submit, context, loop } = setUp(1, 100, 1e6);
    const first = submit({ length: 200, maxTokens: 3, conversation: "c" });
    await until(() => isOver(first.events));
    const between = submit({ length: 200, maxTokens: 3, client: "anon:b" });
    await until(() => isOver(between.events));
    context.files.clear();
    const again = submit({
      tokens: [...first.request.tokens(0, 202), 8],
      maxTokens: 2,
      conversation: "c",
    });
    await until(() => isOver(again.events));
    expect(again.events.lines.at(-1)).toBe("finished length 203 2 0");
    // The state of `between` was stored when it lost its slot. The state that failed to load was dropped.
    expect(loop.stats()).toMatchObject({ storedStates: 1, running: 0 });
  });

  it("counts no token as cached that was processed for the same request, even after a preemption", async () => {
    const { submit, context, loop } = setUp(1, 100, 1e6);
    const system = Array.from({ length: 150 }, (_, index) => index);
    const ask = (name: string, maxTokens: number, accountKey = name) => {
      const tokens = [...system, ...Array.from({ length: 100 }, (_, at) => accountKey.length * 1000 + at)];
      return submit({
        tokens,
        sharedTokens: 150,
        sharedKey: "s",
        maxTokens,
        client: name,
        accountKey,
        conversation: name,
      });
    };
    const slow = ask("slow", 400);
    ask("slow", 400);
    await until(() => slow.events.lines.length > 50);
    const quick = ask("q", 3);
    await until(() => isOver(quick.events));
    expect(loop.stats().preemptions).toBeGreaterThan(0);
    // The stored states are lost while the answer is preempted.
    context.files.clear();
    await until(() => isOver(slow.events));
    const [, , prompt, completion, cached] = slow.events.lines.at(-1)?.split(" ") ?? [];
    expect([prompt, completion]).toEqual(["250", "400"]);
    expect(Number(cached)).toBe(0);
  });
});
