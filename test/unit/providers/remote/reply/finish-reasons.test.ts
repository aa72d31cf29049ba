import fc from "../../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { finishWords, meaningOf } from "../../../../../src/providers/remote/reply/finish-reasons.ts";

describe("the meaning of a finish reason", () => {
  it("does not depend on case, separators and the name of the enumeration", () => {
    for (const { meaning, words } of finishWords) {
      for (const word of words) {
        const camel = word.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
        for (const form of [word, word.toUpperCase(), word.replaceAll("_", "-"), camel, ` ${word} `]) {
          expect(meaningOf(form), form).toBe(meaning);
        }
        expect(meaningOf(`FINISH_REASON_${word.toUpperCase()}`)).toBe(meaning);
        expect(meaningOf(`FinishReason.${word}`)).toBe(meaning);
      }
    }
  });

  it("is found in each word once only", () => {
    const words = finishWords.flatMap(({ words: all }) => all.map((word) => word.replaceAll("_", "")));
    expect(new Set(words).size).toBe(words.length);
  });

  it("of an empty word is none, and of any other word unknown", () => {
    expect(meaningOf("")).toBe("none");
    expect(meaningOf("constructor")).toBe("unknown");
    fc.assert(
      fc.property(fc.string({ maxLength: 40, size: "max" }), (word) => {
        expect(["stop", "length", "content_filter", "failed", "none", "unknown"]).toContain(meaningOf(word));
      }),
    );
  });
});
