import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Answer } from "../../bench/engine/chat-target.ts";
import {
  firstTokenMs,
  interTokenMs,
  jainIndex,
  tokensBetween,
  workFigures,
} from "../../bench/engine/load/figures.ts";
import { percentile } from "../../bench/harness/statistics.ts";

function answer(textAt: number[], completionTokens: number | null = textAt.length): Answer {
  return {
    user: "u",
    sentAt: 0,
    textAt,
    endAt: 1000,
    text: "x",
    cancelled: completionTokens === null,
    usage: completionTokens === null ? null : { promptTokens: 10, completionTokens, cachedTokens: 4 },
    queued: [],
    queueMs: null,
  };
}

describe("percentile", () => {
  it("takes the nearest rank", () => {
    const values = [50, 15, 40, 20, 35];
    expect([0, 0.05, 0.3, 0.4, 0.5, 1].map((share) => percentile(values, share))).toEqual([
      15, 15, 20, 20, 35, 50,
    ]);
  });

  it("is a value with at least that share at or below it, and less below it", () => {
    const values = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 100 }), (list, percent) => {
        const value = percentile(list, percent / 100);
        const share = (count: number) => Math.round((count / list.length) * 1e9) / 1e9;
        expect(list).toContain(value);
        expect(share(list.filter((it) => it <= value).length)).toBeGreaterThanOrEqual(percent / 100);
        expect(share(list.filter((it) => it < value).length)).toBeLessThan(percent / 100);
      }),
    );
  });

  it("has nothing to say of no values", () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe("Jain's index", () => {
  it("is 1 where all have the same and 1/n where one has all", () => {
    expect(jainIndex([7, 7, 7])).toBe(1);
    expect(jainIndex([0, 9, 0, 0])).toBe(0.25);
    expect(jainIndex([1, 2, 3])).toBeCloseTo(36 / 42);
    expect(jainIndex([0, 0])).toBeNaN();
  });
});

describe("the figures of answers", () => {
  it("measure the first token from sending, and never for an answer without text", () => {
    expect(firstTokenMs(answer([30, 40]))).toBe(30);
    expect(firstTokenMs(answer([]))).toBe(Number.POSITIVE_INFINITY);
  });

  it("count a gap where it ends, never across answers", () => {
    const answers = [answer([10, 30, 60]), answer([100, 105])];
    expect(interTokenMs(answers)).toEqual([20, 30, 5]);
    expect(interTokenMs(answers, 60, 105)).toEqual([30]);
  });

  it("count the tokens of pieces, also of answers that were cut", () => {
    // Whole answers: 4 pieces, 6 tokens; within the window: 3 pieces of a whole one, 1 of the cut one.
    const answers = [answer([10, 20, 30, 40], 6), answer([25], null)];
    expect(tokensBetween(answers, 15, 41)).toBe(6);
    expect(tokensBetween([answer([25, 26], null)], 0, 100)).toBe(2);
    expect(tokensBetween([], 0, 100)).toBe(0);
  });

  it("leave cut answers out of the work", () => {
    expect(workFigures([answer([1, 2, 3]), answer([1], null)])).toEqual({
      answers: 1,
      "prompt tokens, mean": 10,
      "cached tokens, mean": 4,
      "answer tokens, mean": 3,
    });
  });
});
