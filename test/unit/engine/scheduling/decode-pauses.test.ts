import { describe, expect, it } from "vitest";
import { demandOf, DecodePauses, shortestFirst } from "../../../../src/engine/scheduling/decode-pauses.ts";
import { isOver, until } from "../../../support/fake-sequence.ts";
import { loopBench } from "../../../support/loop-bench.ts";
import { EngineSimulator, type SimulatedJob } from "../../../support/engine-simulator.ts";

const MAX_TICK = 250;

const prompt = (remaining: number, background = false, work = remaining) => ({ remaining, background, work });
const prompts = (count: number, length = 50) => Array.from({ length: count }, () => prompt(length));

/** Runs steps of eight generating slots beside the prompts of `waiting`, and of prompts alone where decoding pauses. */
function steps(count: number, generatingMs: number, waiting: ReturnType<typeof prompts>) {
  const pauses = new DecodePauses(MAX_TICK);
  const seen = { paused: 0, alone: 0, longest: 0, share: 0 };
  let gap = 0;
  let all = 0;
  for (let step = 0; step < count; step++) {
    const { generating, prompts: taken, stretch } = pauses.next(8, waiting, 1);
    const aim = Math.min(MAX_TICK, generatingMs * stretch);
    const withPrompts = generating > 0 ? Math.max(aim, generatingMs + 16) : MAX_TICK;
    const ms = taken.length > 0 ? withPrompts : generatingMs;
    gap += ms;
    all += ms;
    seen.longest = Math.max(seen.longest, gap);
    if (taken.length === 0) seen.alone++;
    if (generating === 0) seen.paused++;
    else {
      gap = 0;
      seen.share += generatingMs;
    }
    pauses.step(ms, generating > 0 ? generatingMs : 0, taken.length > 0 ? 16 : 0);
  }
  return { ...seen, share: seen.share / all };
}

describe("DecodePauses", () => {
  it("does not pause decoding where prompts have their share beside it, or where no prompt is short", () => {
    expect(steps(100, 80, prompts(1)).paused).toBe(0);
    expect(steps(100, 20, prompts(5)).paused).toBe(0);
    expect(steps(100, 240, prompts(1, 2000)).paused).toBe(0);
  });

  it("limits decoding to a third of the time beside one prompt, and to a sixth beside more", () => {
    for (const generatingMs of [100, 150, 200, 240, 400]) {
      for (const [count, part] of [
        [1, 1 / 3],
        [2, 1 / 6],
        [8, 1 / 6],
      ] as const) {
        const { share, longest } = steps(5000, generatingMs, prompts(count));
        expect(share / part).toBeGreaterThan(0.99);
        expect(share / part).toBeLessThan(1.05);
        expect(longest).toBeLessThanOrEqual(generatingMs / part + MAX_TICK);
      }
    }
  });

  it("gives decoding every ninth step alone while prompts never end, so that its cost can be measured", () => {
    expect(steps(90, 80, prompts(1))).toMatchObject({ alone: 10, paused: 0 });
    expect(steps(90, 80, prompts(2, 2000))).toMatchObject({ alone: 10, paused: 0 });
    const pauses = new DecodePauses(MAX_TICK);
    const waiting = prompts(2);
    for (let step = 0; step < 90; step++) {
      const { prompts: taken } = pauses.next(0, waiting, 1);
      expect(taken).toHaveLength(2);
      pauses.step(MAX_TICK, 0, 250);
    }
  });

  it("does not charge decoding for the time before prompts arrived", () => {
    const pauses = new DecodePauses(MAX_TICK);
    const generating = (waiting: number) => pauses.next(8, prompts(waiting), 1).generating;
    const step = (ms: number, waiting: number) => {
      pauses.next(8, prompts(waiting), 1);
      pauses.step(ms, 240, waiting > 0 ? 16 : 0);
    };
    for (let index = 0; index < 100; index++) step(240, 0);
    expect(generating(5)).toBe(8);
    step(300, 5);
    expect(generating(5)).toBe(0);
    expect(generating(0)).toBe(8);
    step(240, 0);
    expect(generating(2)).toBe(8);
  });
});

describe("demandOf", () => {
  it("demands more time for several prompts that take up to a second each", () => {
    const demand = (...lengths: number[]) =>
      demandOf(
        lengths.map((length) => prompt(length)),
        4.6,
      );
    expect(demand(218, 1200)).toEqual({ short: 0, stretch: 3.5 });
    expect(demand(217, 1200)).toEqual({ short: 1, stretch: 3.5 });
    expect(demand(217)).toEqual({ short: 1, stretch: 3 });
    expect(demand(10, 20, 30, 1200)).toEqual({ short: 3, stretch: 6 });
  });

  it("counts prompts of some lines as short, however slow the machine is", () => {
    expect(demandOf(prompts(16, 200), 33)).toEqual({ short: 16, stretch: 6 });
    expect(demandOf(prompts(16, 201), 33)).toEqual({ short: 0, stretch: 3.5 });
  });

  it("does not count the end of a long prompt as a short prompt", () => {
    expect(demandOf([prompt(10, false, 1200), prompt(20, false, 1200)], 4.6)).toEqual({
      short: 0,
      stretch: 3.5,
    });
  });

  it("demands no time for background prompts", () => {
    expect(demandOf([], 4.6)).toEqual({ short: 0, stretch: 1 });
    expect(demandOf([prompt(10, true), prompt(1000, true)], 4.6)).toEqual({ short: 0, stretch: 1 });
    expect(demandOf([prompt(10, true), prompt(1000)], 4.6)).toEqual({ short: 0, stretch: 3.5 });
  });
});

describe("shortestFirst", () => {
  it("sorts the shortest prompts first and background prompts last", () => {
    const prompts = [prompt(5, true), prompt(900), prompt(20), prompt(3, true), prompt(900)];
    expect(shortestFirst(prompts).map((it) => prompts.indexOf(it))).toEqual([2, 1, 4, 3, 0]);
  });
});

describe("engine scheduling of short messages beside two long texts", () => {
  it("answers the messages while the texts are processed, and delays the texts only briefly", () => {
    const run = (messages: number) => {
      const engine = new EngineSimulator({
        slots: 8,
        limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
        cost: { stepMs: 5, sequenceMs: 9, promptTokenMs: 4.6, moveTokenMs: 0.03 },
        queueLimit: 100,
      });
      const ask = (principal: string, promptTokens: number) =>
        engine.submit({ principal, conversation: principal, promptTokens, answerTokens: 8 });
      const long = [ask("a", 1200), ask("b", 1200)];
      const short = Array.from({ length: messages }, (_, index) => ask(`short ${index}`, 60));
      engine.run();
      const waits = (jobs: typeof long) => jobs.map((job) => job?.firstTokenAt ?? Infinity);
      return { short: Math.max(0, ...waits(short)), long: Math.max(...waits(long)) };
    };
    const beside = run(2);
    expect(beside.short).toBeLessThan(2500);
    expect(beside.long).toBeLessThan(run(0).long + 1500);
  });
});

describe("TickLoop", () => {
  it("gives a crowd of prompts steps of their own, and loses no token of the running answers", async () => {
    const { begin, loop, context } = loopBench({ slots: 16, tokenMs: 12 });
    const clients = Array.from({ length: 12 }, (_, index) => `client ${index}`);
    const generating = clients.map((client) => begin(client, { length: 4, maxTokens: 60 }));
    await until(() => generating.every(({ request }) => request.generatedTokens > 2));
    const arriving = [1, 2, 3, 4].map((id) => begin(`${id}`, { length: 70, maxTokens: 4 }));
    const from = context.batches.length;
    await until(() => arriving.every(({ request }) => request.generatedTokens > 0));
    const sizes = context.batches.slice(from).map(({ items }) => items.length);
    // Twelve slots generate.
    expect(sizes.filter((size) => size <= 4).length).toBeGreaterThan(2);
    expect(sizes.filter((size) => size > 12).length).toBeGreaterThan(2);
    const all = [...generating, ...arriving];
    await until(() => all.every(({ events }) => isOver(events)));
    expect(generating.every(({ events }) => events.text().length === 60)).toBe(true);
    expect(loop.stats().running).toBe(0);
    await loop.stop();
  });
});

describe("engine scheduling on a slow machine with many slots", () => {
  it("does not delay first tokens in favour of running answers", () => {
    const firsts: number[] = [];
    let asked = 0;
    const ask = (principal: string): void => {
      engine.submit({ principal, conversation: `${++asked}`, promptTokens: 97, answerTokens: 64 });
    };
    const finished = (job: SimulatedJob): void => {
      firsts.push((job.firstTokenAt ?? Infinity) - job.arrivedAt);
      ask(job.accountKey);
    };
    const engine = new EngineSimulator({
      slots: 32,
      limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
      // SmolLM2-135M Q4_1 on two cores without AMX.
      cost: { stepMs: 5, sequenceMs: 9, promptTokenMs: 4.6, moveTokenMs: 0.03 },
      queueLimit: 100,
      finished,
    });
    for (let user = 0; user < 32; user++) ask(`u${user}`);
    engine.run(300_000);
    const later = firsts.slice(32).toSorted((a, b) => a - b);
    // With only 16 prompt tokens per step beside 32 sequences, it would be 14 s.
    expect(later[Math.floor(later.length / 2)]).toBeLessThan(8000);
    expect(firsts.length).toBeGreaterThan(200);
  });

  it("answers messages of some lines that arrive together before running answers grow by much", () => {
    const engine = new EngineSimulator({
      slots: 16,
      limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
      // A model of 1.1 billion weights in Q4_0 on the same cores.
      cost: { stepMs: 20, sequenceMs: 22, promptTokenMs: 11, moveTokenMs: 0.03 },
      queueLimit: 100,
    });
    const jobs = Array.from({ length: 16 }, (_, index) =>
      engine.submit({
        principal: `u${index}`,
        conversation: `${index}`,
        promptTokens: 101,
        answerTokens: 64,
      }),
    );
    engine.run();
    const last = Math.max(...jobs.map((job) => job?.firstTokenAt ?? Infinity));
    // The time for all prompts alone, with a sixth of the total left for running answers.
    const least = (16 * 100 * 11) / (5 / 6);
    expect(last).toBeLessThan(least * 1.15);
  });
});
