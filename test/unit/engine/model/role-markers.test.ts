import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { markerBreaker, markersOfTemplate } from "../../../../src/engine/model/role-markers.ts";
import { ZEPHYR_TEMPLATE } from "../../../support/tiny-gguf.ts";

const markers = ["<|user|>", "<|system|>", "<|assistant|>", "[INST]", "a|b|a"];

describe("markerBreaker", () => {
  it("puts a zero-width space after the first character of a marker", () => {
    expect(markerBreaker(markers)("x <|user|> y")).toBe("x <\u200B|user|> y");
  });

  it("does not change text without markers", () => {
    expect(markerBreaker(markers)("a < b | c > d, <|use|>")).toBe("a < b | c > d, <|use|>");
  });

  it.each(["Round 1:", "Q1:", "12", "[Round 1]"])(
    "takes linear time for long rows of digits: %s",
    (marker) => {
      // With quadratic time, this takes minutes.
      const digits = "1".repeat(300_000);
      expect(markerBreaker([marker])(`Round ${digits}`)).toBe(`Round ${digits}`);
    },
  );

  it("breaks a marker with any number", () => {
    expect(markerBreaker(["Round 1:"])("Round 27: x")).toBe("Round 27\u200B: x");
    expect(markerBreaker(["Q1:"])("Q305:")).toBe("Q305\u200B:");
  });

  it("changes nothing without markers", () => {
    expect(markerBreaker([])("<|user|>")).toBe("<|user|>");
  });

  it("breaks every marker in any text, even overlapping ones, and changes nothing else", () => {
    const pieces = fc.oneof(
      fc.constantFrom(...markers, "a|b|", "|a", "<|", "|>"),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join("").replaceAll("\u200B", "");
        const broken = markerBreaker(markers)(text);
        for (const marker of markers) expect(broken).not.toContain(marker);
        expect(broken.replaceAll("\u200B", "")).toBe(text);
      }),
    );
  });
});

describe("markersOfTemplate", () => {
  it("finds the role markers of common templates", () => {
    expect(markersOfTemplate(ZEPHYR_TEMPLATE)).toEqual(["<|user|>", "<|system|>", "<|assistant|>"]);
    expect(markersOfTemplate("{{ '<|im_start|>' + role }}<|im_end|>")).toEqual([
      "<|im_start|>",
      "<|im_end|>",
    ]);
    expect(markersOfTemplate("[INST] <<SYS>>x<</SYS>> [/INST]")).toEqual([
      "[INST]",
      "<<SYS>>",
      "<</SYS>>",
      "[/INST]",
    ]);
    expect(markersOfTemplate("<start_of_turn>user<end_of_turn>")).toEqual([
      "<start_of_turn>",
      "<end_of_turn>",
    ]);
  });
});
