import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../../../src/core/clock.ts";
import { CostModel } from "../../../../src/engine/estimates/cost-model.ts";
import { FairQueue } from "../../../../src/engine/scheduling/fair-queue.ts";
import { RequestState } from "../../../../src/engine/generation/request-state.ts";
import { QueuePositions } from "../../../../src/engine/loop/queue-positions.ts";
import { ServiceRates } from "../../../../src/engine/estimates/service-rates.ts";
import { Slot } from "../../../../src/engine/generation/slot.ts";
import { TickLoop } from "../../../../src/engine/loop/tick-loop.ts";
import { FakeContext, preparedRequest, recordedEvents } from "../../../support/fake-sequence.ts";

const SLOTS = 8;
const WAITING = 64;

/** A generator of numbers in 0..1 that gives the same ones in each run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Told {
  readonly at: number;
  readonly position: number;
  readonly etaMs: number | undefined;
}

/** Keeps 64 waiting, each a principal of its own, while time goes by at 8 ms a step and 0.4 ms a prompt token. */
async function replay(answers: number) {
  const context = new FakeContext();
  const random = numbers(11);
  let now = 0;
  context.onBatch = () => {
    const items = context.batches.at(-1)?.items ?? [];
    now += 8 + 0.5 * items.length + 0.4 * items.reduce((sum, { tokens }) => sum + tokens, 0);
  };
  const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
  const loop = new TickLoop({
    slots: Array.from({ length: SLOTS }, (_, id) => new Slot(context.sequence(id))),
    queue: new FairQueue<RequestState>({ requests: 1000, promptTokens: 1e6, background: 1 }),
    cost: new CostModel(0.4),
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
    clock,
    flush: () => {},
    onFault: (error) => {
      throw error;
    },
  });
  const all: { submittedAt: number; startedAt?: number; told: Told[]; over: boolean }[] = [];
  const submit = (): void => {
    const name = `sub:${all.length}`;
    const record = { submittedAt: now, told: [] as Told[], over: false } as (typeof all)[number];
    all.push(record);
    const prepared = preparedRequest(20 + Math.floor(random() * 150), {
      client: name,
      accountKey: name,
      maxTokens: 16 + Math.floor(random() * 241),
    });
    const events = {
      ...recordedEvents(),
      queued: (position: number, etaMs: number | undefined) =>
        void record.told.push({ at: now, position, etaMs }),
      started: () => void (record.startedAt = now),
      finished: () => void (record.over = true),
    };
    loop.submit(new RequestState(prepared, events, () => "x", now));
  };
  void loop.start();
  while (all.filter(({ over }) => over).length < answers) {
    const open = all.filter(({ startedAt }) => startedAt === undefined).length;
    if (open < WAITING) submit();
    await turn();
  }
  await loop.stop();
  return all;
}

describe("QueueNotes", () => {
  it("tells a time to the start that is right within 30 % for the most, and a place at most twice a second", async () => {
    const all = await replay(260);
    const errors: number[] = [];
    for (const { told, submittedAt, startedAt } of all.slice(WAITING + SLOTS)) {
      for (const [index, note] of told.entries()) {
        const before = told[index - 1];
        expect(note.position).not.toBe(before?.position);
        if (before) expect(note.at - before.at).toBeGreaterThanOrEqual(500);
      }
      const [first] = told;
      if (startedAt === undefined || first === undefined) continue;
      expect(first.at).toBe(submittedAt);
      const waited = startedAt - submittedAt;
      errors.push(Math.abs((first.etaMs ?? Number.NaN) - waited) / waited);
    }
    expect(errors.length).toBeGreaterThan(100);
    errors.sort((a, b) => a - b);
    expect(errors[errors.length >> 1]).toBeLessThanOrEqual(0.3);
  }, 30_000);
});

describe("the first estimates of a crowd", () => {
  /** What one is told who waits behind as many as there are slots, where until now one alone had a token each 10 ms. */
  function firstEta(sequenceMs: number): number {
    const clock: Clock = { now: () => 0, wall: () => 0, after: () => () => {} };
    const rates = new ServiceRates();
    for (let step = 0; step < 100; step++) rates.step(10, 10, 1, 0, 1);
    rates.lengths.observe(100, false);
    const queue = new FairQueue<RequestState>({ requests: 100, promptTokens: 1e6, background: 1 });
    const context = new FakeContext();
    const slots = Array.from({ length: SLOTS }, (_, id) => new Slot(context.sequence(id)));
    let eta = Number.NaN;
    const requestOf = (name: string): RequestState => {
      const prepared = preparedRequest(1, { client: name, accountKey: name, maxTokens: 100 });
      const events = { ...recordedEvents(), queued: (_: number, etaMs = Number.NaN) => void (eta = etaMs) };
      return new RequestState(prepared, events, () => "", 0);
    };
    for (const slot of slots) slot.request = requestOf(`sub:${slot.id}`);
    const waiter = requestOf("sub:late");
    queue.add(waiter);
    new QueuePositions(queue, slots, clock, rates, { sequenceMs }).added(waiter);
    return eta;
  }

  it("reckon with all slots busy, where few were until now", () => {
    expect(firstEta(0)).toBeCloseTo(100 * 10, -1);
    expect(firstEta(5)).toBeCloseTo(100 * (10 + 7 * 5), -1);
  });
});

describe("the correction of estimates", () => {
  it("does not grow because steps became longer after the first estimate", () => {
    let now = 0;
    const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
    const rates = new ServiceRates();
    const queue = new FairQueue<RequestState>({ requests: 100, promptTokens: 1e6, background: 1 });
    const slot = new Slot(new FakeContext().sequence(0));
    const positions = new QueuePositions(queue, [slot], clock, rates, { sequenceMs: 0 });
    const etas: (number | undefined)[] = [];
    const requestOf = (name: string): RequestState => {
      const prepared = preparedRequest(1, { client: name, accountKey: name, maxTokens: 100 });
      const events = {
        ...recordedEvents(),
        queued: (_: number, etaMs?: number) => void etas.push(etaMs),
      };
      return new RequestState(prepared, events, () => "", now);
    };
    const wait = (name: string): RequestState => {
      const it = requestOf(name);
      queue.add(it);
      positions.added(it);
      return it;
    };
    rates.step(5, 5, 1, 0, 1);
    rates.lengths.observe(100, false);
    slot.request = requestOf("sub:running");
    // Told at 5 ms a step; then the steps take 20, and the waits four times as long.
    const early = Array.from({ length: 30 }, (_, index) => wait(`sub:${index}`));
    for (let step = 0; step < 500; step++) rates.step(20, 20, 8, 0, 8);
    for (const it of early) {
      now = 4 * (it.firstEta?.waitMs ?? 0);
      positions.started(it);
      queue.remove(it);
    }
    etas.length = 0;
    wait("sub:late");
    expect(etas[0]).toBeGreaterThan(100 * 20 * 0.8);
    expect(etas[0]).toBeLessThan(100 * 20 * 1.2);
  });
});
