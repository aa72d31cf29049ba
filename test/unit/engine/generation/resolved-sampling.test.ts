import { describe, expect, it } from "vitest";
import { resolveSampling } from "../../../../src/engine/generation/resolved-sampling.ts";

const seed = () => 7;

describe("resolveSampling", () => {
  it("prefers the request to the model and the model to the defaults", () => {
    const resolved = resolveSampling({ temperature: 0.1 }, { temperature: 0.5, topP: 0.8 }, false, seed);
    expect(resolved).toMatchObject({ temperature: 0.1, topP: 0.8, topK: 40 });
  });

  it("draws a seed for each request that sets none (trap 18)", () => {
    let draws = 0;
    const draw = () => ++draws;
    const seeds = [resolveSampling({}, {}, false, draw).seed, resolveSampling({}, {}, false, draw).seed];
    expect(seeds).toEqual([1, 2]);
    expect(resolveSampling({ seed: 42 }, {}, false, draw).seed).toBe(42);
    expect(resolveSampling({ seed: -1 }, {}, false, draw).seed).toBe(0xffffffff);
  });

  it("replaces a topK of 0, which selects the whole vocabulary", () => {
    expect(resolveSampling({ topK: 0 }, {}, false, seed).topK).toBe(40);
    expect(resolveSampling({}, { topK: 0 }, false, seed).topK).toBe(40);
    expect(resolveSampling({ topK: 5.7 }, {}, false, seed).topK).toBe(5);
  });

  it("applies no repeat penalty with a grammar unless the request sets one", () => {
    expect(resolveSampling({}, { repeatPenalty: 1.3 }, true, seed).repeatPenalty).toBe(1);
    expect(resolveSampling({}, { repeatPenalty: 1.3 }, false, seed).repeatPenalty).toBe(1.3);
    expect(resolveSampling({ repeatPenalty: 1.2 }, {}, true, seed).repeatPenalty).toBe(1.2);
  });
});
