import fc from "../../support/property-tests.ts";
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
  it("uses the nearest-rank method", () => {
    const values = [50, 15, 40, 20, 35];
    expect([0, 0.05, 0.3, 0.4, 0.5, 1].map((share) => percentile(values, share))).toEqual([
      15, 15, 20, 20, 35, 50,
    ]);
  });

  it("is a value with at least the given share of values at or below it and a smaller share below it", () => {
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

  it("is the exact rank where the product of share and length is not exact", () => {
    const values = Array.from({ length: 200 }, (_, index) => index + 1);
    expect(percentile(values, 0.28)).toBe(56);
    expect(percentile(values, 0.55)).toBe(110);
  });

  it("is NaN for an empty list", () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe("Jain's index", () => {
  it("is 1 for equal shares and 1/n if one user has everything", () => {
    expect(jainIndex([7, 7, 7])).toBe(1);
    expect(jainIndex([0, 9, 0, 0])).toBe(0.25);
    expect(jainIndex([1, 2, 3])).toBeCloseTo(36 / 42);
    expect(jainIndex([0, 0])).toBeNaN();
  });
});

describe("answer figures", () => {
  it("measure the first token from sending; the time is infinite for an answer without text", () => {
    expect(firstTokenMs(answer([30, 40]))).toBe(30);
    expect(firstTokenMs(answer([]))).toBe(Number.POSITIVE_INFINITY);
  });

  it("count a gap between tokens by its end, and never across answers", () => {
    const answers = [answer([10, 30, 60]), answer([100, 105])];
    expect(interTokenMs(answers)).toEqual([20, 30, 5]);
    expect(interTokenMs(answers, 60, 105)).toEqual([30]);
  });

  it("count the tokens of text pieces, also of cancelled answers", () => {
    // The whole answer has 4 pieces and 6 tokens. The window holds 3 of its pieces and 1 of the cancelled answer.
    const answers = [answer([10, 20, 30, 40], 6), answer([25], null)];
    expect(tokensBetween(answers, 15, 41)).toBe(6);
    expect(tokensBetween([answer([25, 26], null)], 0, 100)).toBe(2);
    expect(tokensBetween([], 0, 100)).toBe(0);
  });

  it("exclude cancelled answers from the work", () => {
    expect(workFigures([answer([1, 2, 3]), answer([1], null)])).toEqual({
      answers: 1,
      "prompt tokens, mean": 10,
      "cached tokens, mean": 4,
      "answer tokens, mean": 3,
    });
  });
});
