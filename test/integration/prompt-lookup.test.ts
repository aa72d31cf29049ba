import { beforeAll, describe, expect, it } from "vitest";
import { loadModel, type LoadedModel } from "../../src/engine/model/load-model.ts";
import type { GenerateOptions } from "../../src/engine/ports.ts";
import { LongWork } from "../../src/engine/server/long-work.ts";
import { tinySettings } from "../support/local-engine.ts";
import { prepared } from "../support/prepared.ts";

const text = "the people and the water of the way ".repeat(3);

describe("verified guesses on the tiny model", () => {
  let loaded: LoadedModel;
  beforeAll(async () => {
    loaded = await loadModel(await tinySettings({ slots: 1 }), new LongWork(() => {}));
  });

  /**
   * Samples `count` tokens with the guesses that `guessesOf` returns for the tokens so far, or one by one without it.
   */
  async function sample(count: number, sampling: object, guessesOf?: (known: readonly number[]) => number[]) {
    const [sequence] = loaded.sequences;
    if (!sequence) throw new Error("no sequence");
    const request = await prepared(loaded, {
      system: "",
      context: null,
      turns: [{ role: "user", content: text }],
      maxTokens: count,
      sampling,
      client: "c",
      accountKey: "c",
      authenticated: false,
      conversation: "c",
    });
    const sampled: number[] = [];
    const options: GenerateOptions = {
      sampling: request.sampling,
      recentTokens: () => sampled.slice(-64),
    };
    await sequence.truncate(0);
    const iterator = sequence.generate(request.tokens, options);
    const first = await iterator.next();
    if (first.done === true) throw new Error("no token");
    sampled.push(first.value);
    let steps = 1;
    for (; sampled.length < count; steps++) {
      const guesses = guessesOf?.(sampled) ?? [];
      const last = sampled.at(-1) ?? 0;
      if (guesses.length > 0) sampled.push(...(await sequence.verify([last], guesses, options)).tokens);
      else {
        const next = await iterator.next(last);
        if (next.done === true) break;
        sampled.push(next.value);
      }
      const known = [...request.tokens, ...sampled];
      // The KV holds exactly all tokens except the last sampled one.
      expect(sequence.tokens()).toEqual(known.slice(0, -1));
    }
    await iterator.return?.();
    return { sampled: sampled.slice(0, count), steps };
  }

  it.each([
    ["greedy", { temperature: 0, repeatPenalty: 1 }],
    ["greedy with a repeat penalty", { temperature: 0, repeatPenalty: 1.3 }],
  ])("give the same tokens as sampling one by one: %s", async (_, sampling) => {
    const plain = await sample(80, sampling);
    const at = (known: readonly number[], right: number, wrong: number) => [
      ...plain.sampled.slice(known.length, known.length + right),
      ...Array.from({ length: wrong }, (_wrong, index) => 300 + index),
    ];
    const right = await sample(80, sampling, (known) => at(known, 5, 0));
    expect(right.sampled).toEqual(plain.sampled);
    expect(right.steps).toBeLessThan(20);
    const mixed = await sample(80, sampling, (known) => (known.length % 3 === 0 ? [] : at(known, 2, 3)));
    expect(mixed.sampled).toEqual(plain.sampled);
    const wrong = await sample(80, sampling, (known) => at(known, 0, 4));
    expect(wrong.sampled).toEqual(plain.sampled);
  });

  it("keep the distribution of random sampling: each token is as frequent as one by one", async () => {
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
      // Different seeds from those above, or both samples would be identical.
      const other = { ...options, sampling: { ...options.sampling, seed: seed + 1_000_000 } };
      count(checked, (await sequence.verify(known, [302, 303], other)).tokens[0]);
    }
    expect(plain.size).toBe(4);
    expect(new Set(checked.keys())).toEqual(new Set(plain.keys()));
    // Four standard deviations of the difference of two binomial counts with n = 400 and p = 0.5.
    for (const [token, often] of plain) expect(Math.abs((checked.get(token) ?? 0) - often)).toBeLessThan(57);
  });
});
