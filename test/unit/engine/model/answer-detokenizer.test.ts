import type { Token } from "node-llama-cpp";
import { describe, expect, it } from "vitest";
import { answerDetokenizer, type Vocabulary } from "../../../../src/engine/model/answer-detokenizer.ts";

/** A vocabulary of single characters and of special tokens, which have numbers from 1,000,000 on. */
function vocabulary(specials: readonly string[]): Vocabulary {
  const textOf = (token: number, special: boolean): string => {
    const text = specials[token - 1_000_000];
    return text === undefined ? String.fromCodePoint(token) : special ? text : "";
  };
  const tokenize = (text: string): Token[] => {
    const tokens: number[] = [];
    for (let at = 0; at < text.length;) {
      const index = specials.findIndex((special) => text.startsWith(special, at));
      const length = index < 0 ? 1 : (specials[index] as string).length;
      tokens.push(index < 0 ? text.charCodeAt(at) : 1_000_000 + index);
      at += length;
    }
    return tokens as Token[];
  };
  return {
    tokenize,
    detokenize: (tokens, special = false) => tokens.map((token) => textOf(token, special)).join(""),
  };
}

function roundTrip(specials: readonly string[], text: string): string {
  const model = vocabulary(specials);
  return answerDetokenizer(model)(model.tokenize(text, true), []);
}

describe("the detokenizer of answers", () => {
  it("writes the special tokens that mark reasoning, and no others", () => {
    const specials = ["<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|pad|>"];
    const text =
      "<|channel|>analysis<|message|>a<|pad|>b<|end|><|start|>assistant<|channel|>final<|message|>c";
    expect(roundTrip(specials, text)).toBe(text.replace("<|pad|>", ""));
    expect(roundTrip(["[THINK]", "[/THINK]", "[INST]"], "[THINK]a[/THINK]b[INST]")).toBe("[THINK]a[/THINK]b");
  });

  it("writes the markers of an answer without reasoning, which the splitter removes", () => {
    const text = "<|START_RESPONSE|>a<|END_RESPONSE|>";
    const specials = ["<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_THINKING|>", "<|END_THINKING|>"];
    expect(roundTrip(specials, text)).toBe(text);
  });

  it("leaves out a token that marks no reasoning in this vocabulary", () => {
    expect(roundTrip(["<|end|>", "<|user|>"], "Hi<|end|>")).toBe("Hi");
  });
});
