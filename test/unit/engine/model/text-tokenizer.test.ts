import { LlamaText, SpecialToken, SpecialTokensText, type LlamaModel } from "node-llama-cpp";
import { describe, expect, it } from "vitest";
import { TextTokenizer, whole } from "../../../../src/engine/model/text-tokenizer.ts";

const BOS = 1;

/** A model with a token for each character, which puts a space before each text, as SentencePiece does. */
function modelOfCharacters(ggml: object = { tokens: ["a", "▁"], model: "llama" }) {
  const tokenize = (text: string, special: boolean | string, options?: string): number[] => {
    if (special === "builtin") return [BOS];
    const spaced = text === "" || options === "trimLeadingSpace" ? text : ` ${text}`;
    return Array.from(spaced, (character) => character.charCodeAt(0));
  };
  const tokenizer = Object.assign(tokenize, { detokenize: () => "" });
  const fileInfo = { metadata: { tokenizer: { ggml } } };
  return { tokenize, tokenizer, fileInfo } as unknown as LlamaModel;
}

describe("TextTokenizer", () => {
  const model = modelOfCharacters();
  const tokenizer = new TextTokenizer(model);

  it.each([
    ["text first", LlamaText(["be brief", new SpecialTokensText("<user>"), "hi"])],
    ["marker first", LlamaText([new SpecialTokensText("<user>"), "hi", new SpecialTokensText("<end>")])],
    [
      "token first",
      LlamaText([new SpecialToken("BOS"), "be", "brief", new SpecialTokensText("<user>"), "hi"]),
    ],
    ["text only", LlamaText(["hi"])],
    ["nothing", LlamaText([])],
  ])("gives a template the tokens that the library gives it: %s", (_, text) => {
    expect(whole(tokenizer.render(text))).toEqual(text.tokenize(model.tokenizer));
  });

  it("does not cut inside a user-defined token, which a byte-level vocabulary holds as plain text", () => {
    const sizes = (type: number) => [
      ...new TextTokenizer(
        modelOfCharacters({ tokens: ["a", "字。"], token_type: [1, type], model: "gpt2" }),
      ).tokenize("字。".repeat(1500)),
    ];
    expect(sizes(4)[0]).toBe(2048);
    expect(sizes(3)[0]).toBe(2047);
  });

  it("gives a long text in pieces the tokens of the whole", () => {
    const text = "a cat and a dog ".repeat(1000);
    const pieces = [...tokenizer.tokenize(text)];
    expect(pieces.length).toBeGreaterThan(5);
    expect(pieces.reduce((sum, size) => sum + size, 0)).toBe(text.length);
    expect(whole(tokenizer.tokenize(text))).toEqual(model.tokenize(text, false, "trimLeadingSpace"));
  });
});
