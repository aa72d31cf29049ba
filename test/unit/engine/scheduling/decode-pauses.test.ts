import { describe, expect, it } from "vitest";
import { demandOf, DecodePauses, shortestFirst } from "../../../../src/engine/scheduling/decode-pauses.ts";
import { isOver, until } from "../../../support/fake-sequence.ts";
import { loopBench } from "../../../support/loop-bench.ts";
import { EngineSimulator, type SimulatedJob } from "../../../support/engine-simulator.ts";

const MAX_TICK = 250;

const prompt = (remaining: number, background = false, work = remaining) => ({ remaining, background, work });
const prompts = (count: number, length = 50) => Array.from({ length: count }, () => prompt(length));

/** Steps of eight that generate with what the longest step leaves for prompts, or of prompts alone. */
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

describe("those who generate", () => {
  it("leave out no step where prompts have their part beside theirs, or none is short", () => {
    expect(steps(100, 80, prompts(1)).paused).toBe(0);
    expect(steps(100, 20, prompts(5)).paused).toBe(0);
    expect(steps(100, 240, prompts(1, 2000)).paused).toBe(0);
  });

  it("keep to their part of the time: a third beside one prompt, a sixth beside more", () => {
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

  it("have every ninth step to themselves where prompts never end, so that it is seen what they take", () => {
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

  it("owe nothing for the time before prompts came", () => {
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

describe("prompts", () => {
  it("ask for more where several take up to a second by themselves", () => {
    const ask = (...lengths: number[]) =>
      demandOf(
        lengths.map((length) => prompt(length)),
        4.6,
      );
    expect(ask(218, 1200)).toEqual({ short: 0, stretch: 3.5 });
    expect(ask(217, 1200)).toEqual({ short: 1, stretch: 3.5 });
    expect(ask(217)).toEqual({ short: 1, stretch: 3 });
    expect(ask(10, 20, 30, 1200)).toEqual({ short: 3, stretch: 6 });
  });

  it("of some lines are short however slow the machine is", () => {
    expect(demandOf(prompts(16, 200), 33)).toEqual({ short: 16, stretch: 6 });
    expect(demandOf(prompts(16, 201), 33)).toEqual({ short: 0, stretch: 3.5 });
  });

  it("are no short ones at the end of long ones", () => {
    expect(demandOf([prompt(10, false, 1200), prompt(20, false, 1200)], 4.6)).toEqual({
      short: 0,
      stretch: 3.5,
    });
  });

  it("ask for nothing that the others would feel where nobody waits for them", () => {
    expect(demandOf([], 4.6)).toEqual({ short: 0, stretch: 1 });
    expect(demandOf([prompt(10, true), prompt(1000, true)], 4.6)).toEqual({ short: 0, stretch: 1 });
    expect(demandOf([prompt(10, true), prompt(1000)], 4.6)).toEqual({ short: 0, stretch: 3.5 });
  });

  it("come first, those that nobody waits for last", () => {
    const prompts = [prompt(5, true), prompt(900), prompt(20), prompt(3, true), prompt(900)];
    expect(shortestFirst(prompts).map((it) => prompts.indexOf(it))).toEqual([2, 1, 4, 3, 0]);
  });
});

describe("a short message beside two long texts of others", () => {
  it("is answered while they are processed, and they are not held up for long", () => {
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
  it("gives prompts steps of their own while they crowd, and nobody loses a token", async () => {
    const { begin, loop, context } = loopBench({ slots: 16, tokenMs: 12 });
    const talkers = Array.from({ length: 12 }, (_, index) => `talker ${index}`);
    const talking = talkers.map((client) => begin(client, { length: 4, maxTokens: 60 }));
    await until(() => talking.every(({ request }) => request.generatedTokens > 2));
    const coming = [1, 2, 3, 4].map((id) => begin(`${id}`, { length: 70, maxTokens: 4 }));
    const from = context.batches.length;
    await until(() => coming.every(({ request }) => request.generatedTokens > 0));
    const sizes = context.batches.slice(from).map(({ items }) => items.length);
    // Those who generate are twelve.
    expect(sizes.filter((size) => size <= 4).length).toBeGreaterThan(2);
    expect(sizes.filter((size) => size > 12).length).toBeGreaterThan(2);
    const all = [...talking, ...coming];
    await until(() => all.every(({ events }) => isOver(events)));
    expect(talking.every(({ events }) => events.text().length === 60)).toBe(true);
    expect(loop.stats().running).toBe(0);
    await loop.stop();
  });
});

describe("on a slow machine with many slots", () => {
  it("nobody waits for a first token while all the time goes to those who have one", () => {
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
    // 16 tokens a step beside 32 sequences would make it 14 s.
    expect(later[Math.floor(later.length / 2)]).toBeLessThan(8000);
    expect(firsts.length).toBeGreaterThan(200);
  });

  it("messages of some lines that come at once are answered before texts that others read grow by much", () => {
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
    // All the prompts by themselves, and a sixth of the time for those who have begun.
    const least = (16 * 100 * 11) / (5 / 6);
    expect(last).toBeLessThan(least * 1.15);
  });
});
