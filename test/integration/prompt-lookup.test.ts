import { beforeAll, describe, expect, it } from "vitest";
import { loadModel, type LoadedModel } from "../../src/engine/model/load-model.ts";
import type { GenerateOptions } from "../../src/engine/ports.ts";
import { LongWork } from "../../src/engine/server/long-work.ts";
import { tinySettings } from "../support/local-engine.ts";

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
      accountKey: "c",
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

  it("draw at random as the model would: each token as often as one by one", async () => {
    const [sequence] = loaded.sequences;
    if (!sequence) throw new Error("no sequence");
    const sampling = { temperature: 1.5, topK: 4, topP: 1, minP: 0, repeatPenalty: 1 };
    const known = [1, 2, 300, 301];
    const plain = new Map<number, number>();
    const checked = new Map<number, number>();
    const count = (map: Map<number, number>, token = -1): void => {
      map.set(token, (map.get(token) ?? 0) + 1);
    };
    for (let seed = 0; seed < 400; seed++) {
      const options = { sampling: { ...sampling, seed, reproducible: true }, recentTokens: () => [] };
      await sequence.truncate(0);
      const iterator = sequence.generate(known, options);
      const next = await iterator.next();
      await iterator.return?.();
      count(plain, next.done === true ? undefined : next.value);
      await sequence.truncate(0);
      // Other seeds than those above, or both would be the very same draws.
      const other = { ...options, sampling: { ...options.sampling, seed: seed + 1_000_000 } };
      count(checked, (await sequence.verify(known, [302, 303], other)).tokens[0]);
    }
    expect(plain.size).toBe(4);
    expect(new Set(checked.keys())).toEqual(new Set(plain.keys()));
    // Four standard deviations of a difference of two counts of 400 with a share of a half.
    for (const [token, often] of plain) expect(Math.abs((checked.get(token) ?? 0) - often)).toBeLessThan(57);
  });
});
