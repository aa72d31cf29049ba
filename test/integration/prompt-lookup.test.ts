import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel, type LoadedModel } from "../../src/engine/model.ts";
import type { GenerateOptions } from "../../src/engine/engine-port.ts";
import { LongWork } from "../../src/engine/long-work.ts";
import { noMetrics, type Metrics } from "../../src/core/metrics.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { startLocalEngine, tinySettings, type LocalEngine } from "../support/local-engine.ts";

const text = "the people and the water of the way ".repeat(3);

describe("checked guesses on the tiny model", () => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel(await tinySettings({ slots: 1 }), new LongWork(() => {}));
  });

  /** Draws `count` tokens, with as many right guesses and then wrong ones as asked for, or one by one. */
  async function draw(count: number, sampling: object, guessesOf?: (known: readonly number[]) => number[]) {
    const [sequence] = loaded.sequences;
    if (!sequence) throw new Error("no sequence");
    const prepared = await loaded.prompts.prepare({
      system: "",
      context: null,
      turns: [{ role: "user", content: text }],
      maxTokens: count,
      sampling,
      client: "c",
      charge: "c",
      conversation: "c",
    });
    const drawn: number[] = [];
    const options: GenerateOptions = {
      sampling: prepared.sampling,
      recentTokens: () => drawn.slice(-64),
    };
    await sequence.truncate(0);
    const iterator = sequence.generate(prepared.tokens, options);
    const first = await iterator.next();
    if (first.done === true) throw new Error("no token");
    drawn.push(first.value);
    let steps = 1;
    for (; drawn.length < count; steps++) {
      const guesses = guessesOf?.(drawn) ?? [];
      const last = drawn.at(-1) ?? 0;
      if (guesses.length > 0) drawn.push(...(await sequence.verify([last], guesses, options)).tokens);
      else {
        const next = await iterator.next(last);
        if (next.done === true) break;
        drawn.push(next.value);
      }
      const known = [...prepared.tokens, ...drawn];
      // All but the token drawn last is in the KV, and nothing else.
      expect(sequence.tokens()).toEqual(known.slice(0, -1));
    }
    await iterator.return?.();
    return { drawn: drawn.slice(0, count), steps };
  }

  it.each([
    ["greedy", { temperature: 0, repeatPenalty: 1 }],
    ["greedy with a repeat penalty", { temperature: 0, repeatPenalty: 1.3 }],
  ])("give the same tokens as draws one by one: %s", async (_, sampling) => {
    const plain = await draw(80, sampling);
    const at = (known: readonly number[], right: number, wrong: number) => [
      ...plain.drawn.slice(known.length, known.length + right),
      ...Array.from({ length: wrong }, (_wrong, index) => 300 + index),
    ];
    const right = await draw(80, sampling, (known) => at(known, 5, 0));
    expect(right.drawn).toEqual(plain.drawn);
    expect(right.steps).toBeLessThan(20);
    const mixed = await draw(80, sampling, (known) => (known.length % 3 === 0 ? [] : at(known, 2, 3)));
    expect(mixed.drawn).toEqual(plain.drawn);
    const wrong = await draw(80, sampling, (known) => at(known, 0, 4));
    expect(wrong.drawn).toEqual(plain.drawn);
  });

  it("draw at random as the model would: as often each token as one by one", async () => {
    const sampling = { temperature: 1.5, topK: 4, topP: 1, minP: 0, repeatPenalty: 1 };
    const greedy = await draw(3, { temperature: 0, repeatPenalty: 1 });
    const counts = { plain: new Map<number, number>(), checked: new Map<number, number>() };
    const count = (map: Map<number, number>, token: number) => map.set(token, (map.get(token) ?? 0) + 1);
    const [sequence] = loaded.sequences;
    for (let seed = 0; seed < 400; seed++) {
      const options = {
        sampling: { temperature: 1.5, topK: 4, topP: 1, minP: 0, repeatPenalty: 1, seed, reproducible: true },
        recentTokens: () => [],
      };
      await sequence?.truncate(0);
      const known = [1, 2, greedy.drawn[0] ?? 0];
      const iterator = sequence?.generate(known, options);
      const plain = await iterator?.next();
      await iterator?.return?.();
      count(counts.plain, plain?.done === false ? plain.value : -1);
      await sequence?.truncate(0);
      const checked = await sequence?.verify(known, [300, 301], options);
      count(counts.checked, checked?.tokens[0] ?? -1);
    }
    expect(sampling.topK).toBe(4);
    expect(new Set(counts.checked.keys())).toEqual(new Set(counts.plain.keys()));
    for (const [token, often] of counts.plain) {
      expect(Math.abs((counts.checked.get(token) ?? 0) - often)).toBeLessThan(80);
    }
  });
});

describe("prompt look-up in the engine process", () => {
  const gauges = new Map<string, () => number>();
  const metrics: Metrics = { ...noMetrics, gauge: (name, _help, read) => void gauges.set(name, read) };
  let on: LocalEngine;
  let off: LocalEngine;
  beforeAll(async () => {
    on = await startLocalEngine({ metrics });
    off = await startLocalEngine({ settings: { lookup: false } });
  });
  afterAll(() => Promise.all([on.stop(), off.stop()]));

  it("gives the same answers with and without it, and tells what it guessed", async () => {
    const ask = (engine: LocalEngine, sampling: object, maxTokens = 120) =>
      answerOf(engine.provider, chatRequest(text, { maxTokens, sampling, conversation: `${maxTokens}` }));
    for (const repeatPenalty of [1, 1.02]) {
      const [looked, plain] = [
        await ask(on, { temperature: 0, repeatPenalty }),
        await ask(off, { temperature: 0, repeatPenalty }),
      ];
      expect(textOf(looked)).toBe(textOf(plain));
      expect(looked.at(-1)).toEqual(plain.at(-1));
    }
    const seeded = { temperature: 1, seed: 42 };
    expect(textOf(await ask(on, seeded, 60))).toBe(textOf(await ask(off, seeded, 60)));
    const stat = (name: string) => gauges.get(`engine_${name}`)?.() ?? Number.NaN;
    await expect.poll(() => stat("accepted_tokens"), { timeout: 3000 }).toBeGreaterThan(0);
    expect(stat("guessed_tokens")).toBeGreaterThanOrEqual(stat("accepted_tokens"));
  });
});
