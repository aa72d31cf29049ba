import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import {
  EngineSimulator,
  jainIndex,
  seededRandom,
  type SimulatedJob,
  type SimulatedRequest,
  type SimulatedTick,
  type SimulatorOptions,
} from "../../../support/engine-simulator.ts";

const limits = { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 };
// About SmolLM2-135M on two cores.
const cost = { stepMs: 8, sequenceMs: 4, promptTokenMs: 3, moveTokenMs: 0.016 };
const simulator = (changes: Partial<SimulatorOptions> = {}) =>
  new EngineSimulator({ slots: 16, limits, cost, queueLimit: 4096, ...changes });

/** Users arrive at random, send one or two messages with a pause in between, and leave. */
function chatting(users: number, perSecond: number, options: Partial<SimulatorOptions> = {}) {
  const random = seededRandom(7);
  const jobs: SimulatedJob[] = [];
  const turnsLeft = new Map<string, number>();
  const send = (principal: string, history: number): void => {
    const request: SimulatedRequest = {
      principal,
      conversation: principal,
      promptTokens: history + 10 + Math.floor(random() ** 3 * 400),
      answerTokens: 8 + Math.floor(random() * 72),
    };
    const job = engine.submit(request);
    if (job) jobs.push(job);
  };
  const finished = (job: SimulatedJob): void => {
    const left = (turnsLeft.get(job.accountKey) ?? 1) - 1;
    turnsLeft.set(job.accountKey, left);
    if (left > 0) engine.at(engine.now + 2000 + random() * 20_000, () => send(job.accountKey, job.length));
  };
  const engine = simulator({ finished, ...options });
  let at = 0;
  for (let user = 0; user < users; user++) {
    at += (-Math.log(1 - random()) * 1000) / perSecond;
    turnsLeft.set(`u${user}`, 1 + Math.floor(random() * 2));
    engine.at(at, () => send(`u${user}`, 30));
  }
  return { engine, jobs };
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;

describe("engine scheduling for 10,000 users", () => {
  it("starves no request, keeps its steps short, and leaves no slot empty", () => {
    const { engine, jobs } = chatting(10_000, 0.5);
    const ticks: SimulatedTick[] = [];
    engine.tickObserver = (tick) => ticks.push(tick);
    engine.run();
    expect(jobs.length).toBeGreaterThan(10_000);
    expect(engine.refused).toBe(0);
    expect(jobs.every(({ finishedAt }) => finishedAt !== undefined)).toBe(true);
    expect([...engine.queue.standings()]).toEqual([]);
    // Below capacity no request waits for long.
    const waits = jobs.map(({ arrivedAt, startedAt }) => (startedAt ?? Infinity) - arrivedAt);
    expect(quantile(waits, 0.95)).toBeLessThan(5000);
    expect(Math.max(...waits)).toBeLessThan(120_000);
    expect(ticks.every(({ idleWhileWaiting }) => idleWhileWaiting === 0)).toBe(true);
    const late = ticks.filter(({ ms, promptTokens }) => promptTokens > 16 && ms > limits.maxTickMs * 1.05);
    expect(late.length / ticks.length).toBeLessThan(0.001);
    // Far fewer passes than sequences.
    expect(sum(ticks.map(({ runs }) => runs)) / ticks.length).toBeLessThan(3);
    // Each token is served exactly once.
    const owed = sum(jobs.map(({ request, cached }) => request.promptTokens - cached + request.answerTokens));
    expect(sum(engine.served.values())).toBe(owed);
  }, 60_000);

  it("refuses requests over the queue limit, and serves the others in the order of arrival", () => {
    const { engine, jobs } = chatting(10_000, 60, { queueLimit: 500 });
    engine.run(180_000);
    expect(engine.refused).toBeGreaterThan(1000);
    expect(engine.maxWaiting).toBe(500);
    const started = jobs.filter(({ startedAt }) => startedAt !== undefined);
    // Nearly all users are new, so that no request is overtaken by more than a few.
    const last = started.toSorted((a, b) => a.arrivedAt - b.arrivedAt).at(-1);
    const passed = jobs.filter(
      ({ startedAt, arrivedAt }) => startedAt === undefined && arrivedAt < (last?.arrivedAt ?? 0),
    );
    expect(passed.length).toBeLessThanOrEqual(16);
  }, 60_000);
});

/** Keeps a number of requests of each principal in flight for `ms`. @returns the engine after that time. */
function backlogged(
  inFlight: Readonly<Record<string, number>>,
  ms: number,
  weights: Readonly<Record<string, number>> = {},
) {
  const random = seededRandom(3);
  let conversations = 0;
  const ask = (principal: string): SimulatedJob | undefined =>
    engine.submit({
      principal,
      weight: weights[principal] ?? 1,
      conversation: `${principal} ${++conversations}`,
      promptTokens: 50 + Math.floor(random() * 100),
      answerTokens: 32 + Math.floor(random() * 96),
    });
  const engine = simulator({ slots: 8, finished: (job) => void ask(job.accountKey) });
  for (const [principal, count] of Object.entries(inFlight))
    for (let index = 0; index < count; index++) ask(principal);
  engine.run(ms);
  return engine;
}

describe("engine scheduling for principals with a constant backlog", () => {
  it("shares the tokens equally, however many requests one principal has in flight", () => {
    const inFlight = {
      heavy: 32,
      ...Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`u${index}`, 4])),
    };
    const { served } = backlogged(inFlight, 60_000);
    expect(served.size).toBe(9);
    expect(jainIndex([...served.values()])).toBeGreaterThanOrEqual(0.95);
  });

  it("shares the tokens equally when the others have only one request at a time", () => {
    const inFlight = {
      heavy: 32,
      ...Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`u${index}`, 1])),
    };
    const { served } = backlogged(inFlight, 60_000);
    expect(jainIndex([...served.values()])).toBeGreaterThanOrEqual(0.95);
  });

  it("shares the tokens by weight", () => {
    const { served } = backlogged({ one: 16, three: 16 }, 120_000, { three: 3 });
    const ratio = (served.get("three") ?? 0) / (served.get("one") ?? 1);
    expect(ratio).toBeGreaterThan(2.4);
    expect(ratio).toBeLessThan(3.6);
  });

  it("delays eight users with one request each by less than half", () => {
    const requests = Array.from({ length: 8 }, (_, index) => ({
      principal: `u${index}`,
      conversation: `u${index}`,
      promptTokens: 100,
      answerTokens: 64,
    }));
    const alone = simulator({ slots: 8 });
    for (const request of requests) alone.submit(request);
    alone.run();
    const engine = simulator({ slots: 8 });
    for (let index = 0; index < 32; index++) {
      engine.submit({ principal: "heavy", conversation: `h${index}`, promptTokens: 100, answerTokens: 200 });
    }
    let jobs: (SimulatedJob | undefined)[] = [];
    const from = 5000;
    engine.at(from, () => (jobs = requests.map((request) => engine.submit(request))));
    engine.run();
    const slowest = Math.max(...jobs.map((job) => (job?.finishedAt ?? Infinity) - (job?.arrivedAt ?? 0)));
    expect(slowest / alone.now).toBeLessThanOrEqual(1.5);
  });
});

describe("engine scheduling for any load", () => {
  it("serves every request in full and counts no token twice", () => {
    const request = fc.record({
      at: fc.nat(5000),
      principal: fc.nat(4),
      promptTokens: fc.integer({ min: 1, max: 900 }),
      answerTokens: fc.integer({ min: 1, max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (requests, slots) => {
        const engine = simulator({ slots });
        const jobs: SimulatedJob[] = [];
        let idle = 0;
        engine.tickObserver = ({ idleWhileWaiting }) => void (idle += idleWhileWaiting);
        for (const [index, { at: time, principal, ...lengths }] of requests.entries()) {
          engine.at(time, () => {
            const job = engine.submit({ ...lengths, principal: `p${principal}`, conversation: `${index}` });
            if (job) jobs.push(job);
          });
        }
        engine.run();
        expect(jobs).toHaveLength(requests.length);
        for (const job of jobs) expect(job.generated).toBe(job.request.answerTokens);
        const owed = sum(requests.map(({ promptTokens, answerTokens }) => promptTokens + answerTokens));
        expect(sum(engine.served.values())).toBe(owed);
        expect(idle).toBe(0);
        expect(engine.queue.size).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
