import { describe, expect, it } from "vitest";
import { closingAfter, openings } from "../../../../src/core/reasoning/reasoning-forms.ts";
import { ReasoningSplitter, type Split } from "../../../../src/core/reasoning/reasoning-splitter.ts";
import fc from "../../../support/property-tests.ts";

function splitPieces(pieces: readonly string[], promptEnd = ""): Split {
  const splitter = new ReasoningSplitter(promptEnd);
  const parts = [...pieces.map((piece) => splitter.push(piece)), splitter.flush()];
  return {
    reasoning: parts.map(({ reasoning }) => reasoning).join(""),
    text: parts.map(({ text }) => text).join(""),
  };
}

/** The reasoning and the text of a whole answer. */
function splitReasoning(output: string, promptEnd = ""): Split {
  return splitPieces([output], promptEnd);
}

const H = "<|channel|>analysis<|message|>";
const F = "<|channel|>final<|message|>";
const A = "<|start|>assistant";

/** Output of a model, its reasoning and its answer. */
const outputs: readonly (readonly [name: string, output: string, reasoning: string, text: string])[] = [
  ["no reasoning", "Hello <think>you</think>", "", "Hello <think>you</think>"],
  ["white space first", " \n Hello", "", " \n Hello"],
  ["only white space", " \n", "", " \n"],
  ["nothing", "", "", ""],
  ["a tag", "<think>\nHm.\n</think>\n\nHi!", "Hm.", "Hi!"],
  ["white space before the tag", "\n <think>Hm.</think>Hi!", "Hm.", "Hi!"],
  ["an empty block", "<think>\n\n</think>\n\nHi!", "", "Hi!"],
  ["a closed block and no answer", "<think>Hm.</think>\n", "Hm.", ""],
  ["an unfinished block", "<think>Hm. </thin", "Hm. </thin", ""],
  ["an unfinished marker", "<thin", "", "<thin"],
  ["another tag at the beginning", "<thing>a</thing>", "", "<thing>a</thing>"],
  ["a close without an open", "a</think>b", "", "a</think>b"],
  ["tags in the reasoning", "<think>a <think> <b> </thinking></think>Hi", "a <think> <b> </thinking>", "Hi"],
  ["tags in the answer", "<think>a</think>Write <think>b</think>.", "a", "Write <think>b</think>."],
  ["a tag right after the block", "<think>a</think><think> is a tag", "a", "<think> is a tag"],
  ["thinking", "<thinking>a</thinking>b", "a", "b"],
  ["thought", "<thought>a</thought>b", "a", "b"],
  ["reasoning", "<reasoning>a</reasoning>b", "a", "b"],
  ["Seed-OSS", "<seed:think>a</seed:think>b", "a", "b"],
  ["Magistral", "[THINK]a[/THINK]b", "a", "b"],
  ["Kimi-VL", "◁think▷a◁/think▷b", "a", "b"],
  ["Apertus", "<|inner_prefix|>a<|inner_suffix|>b", "a", "b"],
  ["Gemma 4", "<|channel>thought\na\n<channel|>b", "a", "b"],
  ["MedGemma", "<unused94>thought\na<unused95>b", "a", "b"],
  ["openPangu", "[unused16]a[unused17]b", "a", "b"],
  ["Cohere", "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "a", "b"],
  ["Cohere without a response marker", "<|START_THINKING|>a<|END_THINKING|>b", "a", "b"],
  ["Cohere without reasoning", "<|START_RESPONSE|>b<|END_RESPONSE|>", "", "b"],
  ["Hunyuan", "<think>\na\n</think>\n<answer>\nb\n</answer>", "a", "b"],
  ["Granite 3.3", "<think>a</think><response>b</response>", "a", "b"],
  ["Granite 3.2", "Here is my thought process:\na\nHere's my response:\nb", "a", "b"],
  ["prose like Granite's", "Here is my thought.", "", "Here is my thought."],
  [
    "the beginning of Granite's prose, and nothing of its end",
    " Here's my thought process:\n\n1. a\nHere's my",
    "1. a\nHere's my",
    " Here's my thought process:\n\n1. a\nHere's my",
  ],
  [
    "OpenThinker",
    "<|begin_of_thought|>\n\na\n<|end_of_thought|>\n\n<|begin_of_solution|>\nb\n<|end_of_solution|>",
    "a",
    "b",
  ],
  ["XML that the user asked for", "<think>a</think>\n<answer><b/></answer>", "a", "<answer><b/></answer>"],
  ["harmony", `${H}a<|end|>${A}${F}b<|return|>`, "a", "b"],
  ["harmony with the header", `${A}${H}a<|end|>${A}${F}b`, "a", "b"],
  ["harmony, answer only", `${F}b<|end|>`, "", "b"],
  ["harmony, two analyses", `${H}a<|end|>${A}${H}b<|end|>${A}${F}c`, "ab", "c"],
  ["harmony, commentary", `${H}a<|end|>${A}<|channel|>commentary<|message|>b<|end|>${A}${F}c`, "ab", "c"],
  ["harmony without an end", `${H}a${A}${F}b`, "a", "b"],
  ["harmony, unfinished", `${H}a <|en`, "a <|en", ""],
];

describe("the reasoning splitter", () => {
  it.each(outputs)("%s", (_name, output, reasoning, text) => {
    expect(splitReasoning(output)).toEqual({ reasoning, text });
    for (let at = 0; at <= output.length; at++) {
      expect(splitPieces([output.slice(0, at), output.slice(at)])).toEqual({ reasoning, text });
    }
    expect(splitPieces([...output])).toEqual({ reasoning, text });
  });

  it.each([
    ["<|im_start|>assistant\n<think>\n", "Hm.\n</think>\n\nHi!", "Hm.", "Hi!"],
    ["<|im_start|>assistant\n<think>\n", "<think>\nHm.</think>Hi!", "Hm.", "Hi!"],
    ["<|im_start|>assistant\n<think>", "Hm. unfinished", "Hm. unfinished", ""],
    ["<|im_start|>assistant\n<think>\n\n</think>\n\n", "Hi! <think>", "", "Hi! <think>"],
    ["<|im_start|>assistant\n", "<think>a</think>b", "a", "b"],
    [`<|start|>assistant`, `${H}a<|end|>${A}${F}b`, "a", "b"],
    [`<|start|>assistant${H}`, `a<|end|>${A}${F}b`, "a", "b"],
    [`<|start|>assistant${F}`, "b<|return|>", "", "b"],
    ["<|turn>model\n<|channel>thought\n", "a<channel|>b", "a", "b"],
    ["[/INST][THINK]", "a[/THINK]b", "a", "b"],
    ["[/INST][THINK]Okay, ", "a[/THINK]b", "a", "b"],
  ])("begins where the prompt %j ends", (promptEnd, output, reasoning, text) => {
    expect(splitReasoning(output, promptEnd)).toEqual({ reasoning, text });
    expect(splitPieces([...output], promptEnd)).toEqual({ reasoning, text });
  });

  it("begins outside of the reasoning after what closes it in a prompt, in every form", () => {
    expect(closingAfter("<|assistant|>\n")).toBe("");
    for (const { text, next } of openings) {
      if (next.kind !== "reasoning") continue;
      const closing = closingAfter(text);
      expect(closing).toMatch(/\S/);
      expect(closingAfter(text + closing)).toBe("");
      expect(splitReasoning(`${text}a${closing}b`)).toEqual({ reasoning: "a", text: "b" });
      expect(new ReasoningSplitter(text + closing).reasons).toBe(false);
    }
  });

  const marker = fc.constantFrom(
    ...openings.flatMap(({ text, next }) => [text, ...next.markers.map((it) => it.text)]),
  );
  const piece = fc.oneof(marker, fc.constantFrom(" ", "\n", "<", "a", "</", "think>", "|>", "é😀", "]"));
  const output = fc.array(piece, { maxLength: 8, size: "max" }).map((pieces) => pieces.join(""));

  it("does not depend on how the output is split", () => {
    fc.assert(
      fc.property(output, fc.array(fc.nat(), { size: "max", maxLength: 12 }), (whole, cuts) => {
        const at = cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b);
        const pieces = [...at, whole.length].map((end, index) => whole.slice(at[index - 1] ?? 0, end));
        expect(splitPieces(pieces)).toEqual(splitReasoning(whole));
      }),
      { numRuns: 3000 },
    );
  });

  it("returns every answer without a marker at its beginning unchanged, and is out of the way at once", () => {
    fc.assert(
      fc.property(fc.constantFrom("Hello", "ℹ", "1", "  - x"), output, (begin, rest) => {
        const splitter = new ReasoningSplitter();
        expect(splitter.push(begin).text + splitter.push("! ").text).toBe(`${begin}! `);
        expect(splitter.plain).toBe(true);
        expect(splitter.push(rest)).toEqual({ reasoning: "", text: rest });
      }),
    );
  });

  it("takes linear time for an output of many markers", () => {
    const from = performance.now();
    const { reasoning } = new ReasoningSplitter().push(`${H}a<|end|>`.repeat(30_000));
    expect(reasoning).toHaveLength(30_000);
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  it("holds a bounded part of the output", () => {
    const splitter = new ReasoningSplitter();
    expect(splitter.push("\n".repeat(64))).toEqual({ reasoning: "", text: "" });
    expect(splitter.push("\n")).toEqual({ reasoning: "", text: "\n".repeat(65) });
    const inside = new ReasoningSplitter("<think>");
    const pieces = Array.from({ length: 1000 }, () => inside.push("</thin").reasoning.length);
    expect(pieces.reduce((sum, length) => sum + length)).toBeGreaterThan(5900);
  });
});
