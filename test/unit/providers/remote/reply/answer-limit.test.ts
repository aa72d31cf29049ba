import { describe, expect, it } from "vitest";
import { AnswerLimit } from "../../../../../src/providers/remote/reply/answer-limit.ts";
import fc from "../../../../support/property-tests.ts";

describe("the limit of an answer", () => {
  it("counts each chunk as one token", () => {
    const limit = new AnswerLimit(3);
    expect([" a", " b", " understanding", " d"].map((text) => limit.take(text))).toEqual([
      { text: " a", tokens: 1 },
      { text: " b", tokens: 1 },
      { text: " understanding", tokens: 1 },
      { text: "", tokens: 0 },
    ]);
    expect(limit.exceeded).toBe(true);
    expect(limit.tokens).toBe(3);
  });

  it("counts a long chunk by its width, and cuts it at a whole character", () => {
    const limit = new AnswerLimit(10);
    expect(limit.take("x".repeat(24))).toEqual({ text: "x".repeat(24), tokens: 3 });
    expect(limit.take("\u{1f600}".repeat(20))).toEqual({ text: "\u{1f600}".repeat(14), tokens: 7 });
    expect(limit.exceeded).toBe(true);
  });

  it.each([
    ["English", "The river runs through the city.", 1],
    ["Russian", "Река течёт через город.", 1],
    ["Hindi", "नदी शहर से होकर बहती है।", 1],
    ["Arabic", "يمر النهر عبر المدينة.", 1],
    ["Chinese", "河流穿城而过。", 2],
    ["Korean", "강은도시를흐른다", 2],
  ])("counts eight letters, or four characters of East Asia, as one token: %s", (_, text, width) => {
    expect(new AnswerLimit(100).take(text).tokens).toBe(Math.ceil((text.length * width) / 8));
  });

  it("is not exceeded by an answer of exactly the limit", () => {
    const limit = new AnswerLimit(2);
    expect(limit.take("x".repeat(16))).toEqual({ text: "x".repeat(16), tokens: 2 });
    expect(limit.take("")).toEqual({ text: "", tokens: 0 });
    expect(limit.exceeded).toBe(false);
  });

  it("holds for any pieces", () => {
    const pieces = fc.array(fc.string({ unit: "binary", maxLength: 60 }), { maxLength: 60 });
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: 80 }), (texts, max) => {
        const limit = new AnswerLimit(max);
        const taken = texts.map((text) => limit.take(text));
        const kept = taken.map(({ text }) => text).join("");
        expect(texts.join("").startsWith(kept)).toBe(true);
        expect(limit.exceeded).toBe(kept !== texts.join(""));
        expect(taken.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(limit.tokens);
        expect(limit.tokens).toBeLessThanOrEqual(max);
        for (const { text, tokens } of taken) expect(tokens > 0).toBe(text !== "");
      }),
    );
  });
});
