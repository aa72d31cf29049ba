import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { CostModel } from "../../../../src/engine/estimates/cost-model.ts";

describe("CostModel", () => {
  it("learns the cost of a step and of a prompt token", () => {
    const cost = new CostModel(1);
    const truth = (generating: number, prompt: number) => 20 + 3 * generating + 0.4 * prompt;
    for (let round = 0; round < 300; round++) {
      const generating = 1 + (round % 8);
      const prompt = round % 3 === 0 ? 64 : 0;
      cost.observe(truth(generating, prompt), generating, prompt > 0 ? [{ tokens: prompt, depth: 0 }] : []);
    }
    expect(cost.stepMs(4)).toBeCloseTo(32, 0);
    expect(cost.promptTokenMs).toBeCloseTo(0.4, 1);
  });

  it("learns that a token costs more at a greater depth, and retains this while all prompts are alike", () => {
    const cost = new CostModel(1);
    const each = (depth: number) => cost.promptTokenMsOf({ tokens: 90, depth });
    const observe = (depth: number) =>
      cost.observe(90 * (0.6 + 0.002 * (depth + 45)), 0, [{ tokens: 90, depth }]);
    for (let round = 0; round < 200; round++) observe((round % 4) * 150);
    expect(each(0)).toBeCloseTo(0.69, 1);
    expect(each(450)).toBeCloseTo(1.59, 1);
    for (let round = 0; round < 200; round++) observe(450);
    expect(each(450)).toBeCloseTo(1.59, 1);
    expect(each(0)).toBeCloseTo(0.69, 1);
  });

  it("does not attribute the noise of prompts of about equal depth to their depth", () => {
    const cost = new CostModel(0.6);
    const observe = (depth: number, noise: number) =>
      cost.observe(noise * 90 * (0.6 + 0.001 * (depth + 45)), 0, [{ tokens: 90, depth }]);
    for (let turn = 0; turn < 3; turn++) {
      for (const depth of [0, 160, 312]) for (let step = 0; step < 8; step++) observe(depth, 1);
      for (let step = 0; step < 20; step++) observe(440 + (step % 3) * 40, 1.2 - (step % 3) * 0.2);
    }
    expect(cost.promptTokenMsOf({ tokens: 90, depth: 0 })).toBeLessThan(0.85);
  });

  it("learns separate costs for chunks that fill a tile and for shorter ones, even from steps with both", () => {
    const cost = new CostModel(1, 64);
    const truth = (tokens: number, depth: number) =>
      tokens * (0.6 + (tokens < 64 ? 0.0025 : 0.001) * (depth + tokens / 2));
    const parts = [
      { tokens: 64, depth: 400 },
      { tokens: 50, depth: 400 },
      { tokens: 64, depth: 0 },
      { tokens: 50, depth: 0 },
    ];
    for (let round = 0; round < 400; round++) {
      const step = round % 3 === 0 ? parts.slice(0, 2) : [parts[round % 4] ?? { tokens: 64, depth: 0 }];
      cost.observe(
        step.reduce((sum, { tokens, depth }) => sum + truth(tokens, depth), 0),
        0,
        step,
      );
    }
    for (const part of parts) {
      expect(cost.promptTokenMsOf(part)).toBeCloseTo(truth(part.tokens, part.depth) / part.tokens, 1);
    }
  });

  it("does not attribute the cost of a crowd of answers to prompts, although every step has prompts", () => {
    const cost = new CostModel(4.5);
    const truth = (generating: number, prompt: number) => 5 + 9 * generating + 4.6 * prompt;
    for (let round = 0; round < 15; round++) cost.observe(truth(1, 0), 1, []);
    // Sixteen prompts; each one that is done adds a generating slot.
    for (let generating = 1; generating <= 15; generating++) {
      for (const tokens of [48, 49]) {
        cost.observe(truth(generating, tokens), generating, [{ tokens, depth: 0 }]);
      }
    }
    expect(cost.promptTokenMs).toBeLessThan(5.5);
    expect(cost.stepMs(15)).toBeGreaterThan(110);
    expect(cost.stepMs(15)).toBeLessThan(170);
  });

  it("separates the costs of answers and prompts when one step in nine has no prompts, despite a wrong first guess", () => {
    // Prompt tokens at a depth of 400, on two cores without AMX.
    const truth = (generating: number, prompt: number) => 10 + 6 * generating + 5.5 * prompt;
    const cost = new CostModel(8);
    for (let round = 0; round < 15; round++) cost.observe(truth(1, 0), 1, []);
    for (let step = 1; step <= 54; step++) {
      const generating = Math.min(8, 1 + Math.floor(step / 2));
      const tokens = step % 9 === 0 ? 0 : 18 + (step % 2) * 11;
      cost.observe(truth(generating, tokens), generating, tokens > 0 ? [{ tokens, depth: 400 }] : []);
    }
    expect(cost.stepMs(8)).toBeGreaterThan(52);
    expect(cost.stepMs(8)).toBeLessThan(64);
    expect(cost.promptTokenMs).toBeGreaterThan(5);
    expect(cost.promptTokenMs).toBeLessThan(6);
  });

  it("retains the cost of a sequence while the number of sequences stays the same for long", () => {
    const cost = new CostModel(1);
    for (let round = 0; round < 60; round++) cost.observe(5 + 9 * (1 + (round % 8)), 1 + (round % 8), []);
    for (let round = 0; round < 200; round++) cost.observe(5 + 9 * 4, 4, []);
    expect(cost.stepMs(12)).toBeCloseTo(113, -1);
  });

  it("follows a change of load within 30 steps", () => {
    const cost = new CostModel(1);
    for (let round = 0; round < 50; round++) cost.observe(10, 2, []);
    for (let round = 0; round < 30; round++) cost.observe(40, 2, []);
    expect(cost.stepMs(2)).toBeGreaterThan(35);
  });

  it("limits the effect of one outlier", () => {
    const cost = new CostModel(1);
    for (let round = 0; round < 50; round++) cost.observe(10, 2, []);
    cost.observe(5000, 2, []);
    expect(cost.stepMs(2)).toBeLessThan(20);
    const prompt = new CostModel(1);
    for (let round = 0; round < 50; round++) prompt.observe(100, 0, [{ tokens: 100, depth: 0 }]);
    prompt.observe(60_000, 0, [{ tokens: 100, depth: 0 }]);
    expect(prompt.promptTokenMs).toBeLessThan(2);
  });

  it("never returns a negative or infinite cost, whatever it has observed", () => {
    const step = fc.tuple(fc.double({ min: 0, max: 1e5, noNaN: true }), fc.nat(32), fc.nat(512));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.nat(64), (steps, generating) => {
        const cost = new CostModel(1, 64);
        for (const [ms, count, prompt] of steps)
          cost.observe(ms, count, prompt > 0 ? [{ tokens: prompt, depth: count }] : []);
        for (const tokens of [1, 64]) {
          expect(cost.promptTokenMsOf({ tokens, depth: generating * 10 })).toBeGreaterThan(0);
        }
        expect(cost.stepMs(generating)).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(cost.stepMs(generating))).toBe(true);
      }),
    );
  });
});
