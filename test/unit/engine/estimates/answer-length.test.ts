import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { AnswerLength } from "../../../../src/engine/estimates/answer-length.ts";

const learned = (...samples: [tokens: number, whole: boolean][]) => {
  const lengths = new AnswerLength();
  for (const [tokens, whole] of samples) lengths.observe(tokens, whole);
  return lengths;
};

describe("AnswerLength", () => {
  it("expects the mean of the observed answers, up to the limit", () => {
    const lengths = learned([10, true], [20, true], [30, true]);
    expect(lengths.remaining(0, 1000)).toBeCloseTo(20);
    expect(lengths.remaining(0, 15)).toBeCloseTo((10 + 15 + 15) / 3);
  });

  it("estimates a running answer from the answers that became at least as long", () => {
    const lengths = learned([10, true], [20, true], [30, true]);
    expect(lengths.remaining(10, 1000)).toBeCloseTo(15);
    expect(lengths.remaining(20, 1000)).toBeCloseTo(10);
  });

  it("does not count an answer that was cut off as a short one", () => {
    const lengths = learned([16, false], [16, false], [100, true]);
    expect(lengths.remaining(0, 1000)).toBeCloseTo(100);
    expect(learned([64, false], [64, false]).remaining(0, 64)).toBeCloseTo(64);
  });

  it("never estimates below zero or over the limit, and drops old answers", () => {
    const sample = fc.tuple(fc.nat(300), fc.boolean());
    fc.assert(
      fc.property(
        fc.array(sample, { minLength: 1, maxLength: 300 }),
        fc.nat(400),
        fc.nat(400),
        (samples, generated, max) => {
          const expected = learned(...samples).remaining(generated, max);
          expect(expected).toBeGreaterThanOrEqual(0);
          expect(expected).toBeLessThanOrEqual(Math.max(0, max - generated) + 1e-9);
        },
      ),
    );
    const lengths = learned(
      ...Array.from({ length: 500 }, (_, index) => [index < 300 ? 500 : 8, true] as [number, boolean]),
    );
    expect(lengths.remaining(0, 1000)).toBeCloseTo(8);
  });
});
