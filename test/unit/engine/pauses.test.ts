import { describe, expect, it } from "vitest";
import { Pauses, shortPrompts } from "../../../src/engine/pauses.ts";
import { isOver, until } from "../../support/fake-sequence.ts";
import { loopBench } from "../../support/loop-bench.ts";
import { EngineSimulator, type SimulatedJob } from "../../support/engine-simulator.ts";

/** Steps of `generatingMs` with a chunk, or of a chunk alone. @returns what was left out, and the longest time between two tokens. */
function steps(count: number, generatingMs: number, prompts: number) {
  const pauses = new Pauses();
  let left = 0;
  let gap = 0;
  let longest = 0;
  let generated = 0;
  let all = 0;
  for (let step = 0; step < count; step++) {
    const paused = pauses.due(8, prompts);
    const ms = paused ? 250 : Math.max(250, generatingMs + 70);
    gap += ms;
    all += ms;
    longest = Math.max(longest, gap);
    if (paused) left++;
    else {
      gap = 0;
      generated += generatingMs;
    }
    pauses.step(ms, paused ? 0 : generatingMs, prompts);
  }
  return { left, longest, share: generated / all };
}

describe("those who generate", () => {
  it("leave out no step where theirs are short, or where few prompts wait", () => {
    expect(steps(100, 80, 8).left).toBe(0);
    expect(steps(100, 240, 2).left).toBe(0);
  });

  it("keep to a third of the time where their steps are long and prompts crowd", () => {
    for (const generatingMs of [100, 150, 200, 240, 400]) {
      const { share, longest } = steps(1000, generatingMs, 3);
      expect(share).toBeGreaterThan(0.25);
      expect(share).toBeLessThan(0.34);
      expect(longest).toBeLessThan(3 * generatingMs + 250);
    }
  });

  it("owe nothing for the time before the crowd, and are never left out where nobody generates", () => {
    const pauses = new Pauses();
    for (let step = 0; step < 100; step++) pauses.step(240, 240, 0);
    expect(pauses.due(8, 5)).toBe(false);
    pauses.step(300, 240, 5);
    expect(pauses.due(8, 5)).toBe(true);
    expect(pauses.due(0, 5)).toBe(false);
    // The last prompts of a crowd are of it, two by themselves are none.
    expect(pauses.due(8, 1)).toBe(true);
    expect(pauses.due(8, 0)).toBe(false);
    pauses.step(300, 240, 0);
    expect(pauses.due(8, 2)).toBe(false);
    pauses.step(300, 240, 2);
    expect(pauses.due(8, 2)).toBe(false);
  });
});

describe("prompts of a crowd", () => {
  it("are those that take up to a second by themselves", () => {
    expect(shortPrompts([10, 200, 1200, 217, 218], 4.6)).toBe(3);
    expect(shortPrompts([], 4.6)).toBe(0);
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
    await until(() => talking.every(({ generation }) => generation.generatedTokens > 2));
    const coming = [1, 2, 3, 4].map((id) => begin(`${id}`, { length: 70, maxTokens: 4 }));
    const from = context.batches.length;
    await until(() => coming.every(({ generation }) => generation.generatedTokens > 0));
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
      ask(job.charge);
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
});
