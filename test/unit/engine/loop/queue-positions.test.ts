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
import { seededRandom } from "../../../support/engine-simulator.ts";
import { FakeContext, preparedRequest, recordedEvents } from "../../../support/fake-sequence.ts";

const SLOTS = 8;
const WAITING = 64;

interface Report {
  readonly at: number;
  readonly position: number;
  readonly etaMs: number | undefined;
}

/** Keeps 64 requests of different principals waiting, at 8 ms a step, 0.5 ms a sequence and 0.4 ms a prompt token. */
async function replay(answers: number) {
  const context = new FakeContext();
  const random = seededRandom(11);
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
  const all: { submittedAt: number; startedAt?: number; reports: Report[]; over: boolean }[] = [];
  const submit = (): void => {
    const name = `sub:${all.length}`;
    const record = { submittedAt: now, reports: [] as Report[], over: false } as (typeof all)[number];
    all.push(record);
    const prepared = preparedRequest(20 + Math.floor(random() * 150), {
      client: name,
      accountKey: name,
      maxTokens: 16 + Math.floor(random() * 241),
    });
    const events = {
      ...recordedEvents(),
      queued: (position: number, etaMs: number | undefined) =>
        void record.reports.push({ at: now, position, etaMs }),
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

describe("QueuePositions", () => {
  it("estimates the wait within 30 % at the median, and reports positions at most twice a second", async () => {
    const all = await replay(260);
    const errors: number[] = [];
    for (const { reports, submittedAt, startedAt } of all.slice(WAITING + SLOTS)) {
      for (const [index, report] of reports.entries()) {
        const before = reports[index - 1];
        expect(report.position).not.toBe(before?.position);
        if (before) expect(report.at - before.at).toBeGreaterThanOrEqual(500);
      }
      const [first] = reports;
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

describe("QueuePositions with a crowd", () => {
  /** First estimate of a request behind one request per slot, where until now a single one got a token every 10 ms. */
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

  it("estimates the first wait with all slots busy, although few were busy until now", () => {
    expect(firstEta(0)).toBeCloseTo(100 * 10, -1);
    expect(firstEta(5)).toBeCloseTo(100 * (10 + 7 * 5), -1);
  });
});

describe("QueuePositions with learned drift", () => {
  it("does not raise its estimates because steps became longer after the first estimate", () => {
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
      const request = requestOf(name);
      queue.add(request);
      positions.added(request);
      return request;
    };
    rates.step(5, 5, 1, 0, 1);
    rates.lengths.observe(100, false);
    slot.request = requestOf("sub:running");
    // Estimated at 5 ms a step. Then steps take 20 ms, and the waits are four times as long.
    const early = Array.from({ length: 30 }, (_, index) => wait(`sub:${index}`));
    for (let step = 0; step < 500; step++) rates.step(20, 20, 8, 0, 8);
    for (const request of early) {
      now = 4 * (request.firstEta?.waitMs ?? 0);
      positions.started(request);
      queue.remove(request);
    }
    etas.length = 0;
    wait("sub:late");
    expect(etas[0]).toBeGreaterThan(100 * 20 * 0.8);
    expect(etas[0]).toBeLessThan(100 * 20 * 1.2);
  });
});
