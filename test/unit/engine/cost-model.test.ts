import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CostModel } from "../../../src/engine/cost-model.ts";

describe("CostModel", () => {
  it("learns the cost of a step and of a prompt token", () => {
    const cost = new CostModel(1);
    const truth = (generating: number, prompt: number) => 20 + 3 * generating + 0.4 * prompt;
    for (let round = 0; round < 300; round++) {
      const generating = 1 + (round % 8);
      const prompt = round % 3 === 0 ? 64 : 0;
      cost.observe(truth(generating, prompt), generating, prompt, 0);
    }
    expect(cost.stepMs(4)).toBeCloseTo(32, 0);
    expect(cost.promptTokenMs).toBeCloseTo(0.4, 1);
  });

  it("learns that a token costs more behind many others, and keeps to it when prompts are all alike", () => {
    const cost = new CostModel(1);
    const truth = (tokens: number, depth: number) => tokens * (0.6 + 0.002 * depth);
    for (let round = 0; round < 200; round++) {
      const depth = (round % 4) * 150;
      cost.observe(truth(90, depth), 0, 90, depth);
    }
    expect(cost.promptTokenMsAt(0)).toBeCloseTo(0.6, 1);
    expect(cost.promptTokenMsAt(450)).toBeCloseTo(1.5, 1);
    for (let round = 0; round < 200; round++) cost.observe(truth(90, 450), 0, 90, 450);
    expect(cost.promptTokenMsAt(450)).toBeCloseTo(1.5, 1);
    expect(cost.promptTokenMsAt(0)).toBeCloseTo(0.6, 1);
  });

  it("follows a change of load within some steps", () => {
    const cost = new CostModel(1);
    for (let round = 0; round < 50; round++) cost.observe(10, 2, 0, 0);
    for (let round = 0; round < 30; round++) cost.observe(40, 2, 0, 0);
    expect(cost.stepMs(2)).toBeGreaterThan(35);
  });

  it("is not thrown off by one hiccup", () => {
    const cost = new CostModel(1);
    for (let round = 0; round < 50; round++) cost.observe(10, 2, 0, 0);
    cost.observe(5000, 2, 0, 0);
    expect(cost.stepMs(2)).toBeLessThan(20);
    const prompt = new CostModel(1);
    for (let round = 0; round < 50; round++) prompt.observe(100, 0, 100, 0);
    prompt.observe(60_000, 0, 100, 0);
    expect(prompt.promptTokenMs).toBeLessThan(2);
  });

  it("never gives a negative or useless cost, whatever it has seen", () => {
    const step = fc.tuple(fc.double({ min: 0, max: 1e5, noNaN: true }), fc.nat(32), fc.nat(512));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(64), (steps, generating) => {
        const cost = new CostModel(1);
        for (const [ms, count, prompt] of steps) cost.observe(ms, count, prompt, 0);
        expect(cost.promptTokenMsAt(generating * 10)).toBeGreaterThan(0);
        expect(cost.stepMs(generating)).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(cost.stepMs(generating))).toBe(true);
      }),
    );
  });
});
