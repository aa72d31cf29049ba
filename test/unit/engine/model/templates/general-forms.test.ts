import { Template } from "@huggingface/jinja";
import { SpecialToken } from "node-llama-cpp";
import { describe, expect, it } from "vitest";
import { generalForm } from "../../../../../src/engine/model/templates/general-forms.ts";
import { promptOf } from "../../../../../src/engine/model/templates/prompt-template.ts";
import { promptsOfSource } from "../../../../../src/engine/model/templates/template-variables.ts";

const formOf = (tokens: readonly string[], source = "") =>
  generalForm((text) => tokens.includes(text), source);

/** Special tokens of a vocabulary, the form chosen for it, and a prompt of that form with one earlier turn. */
const rows: readonly (readonly [tokens: readonly string[], name: string, prompt: string])[] = [
  [
    ["<|im_start|>", "<|im_end|>"],
    "ChatML",
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n",
  ],
  [
    ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "Llama 3",
    "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\n",
  ],
  [
    ["<start_of_turn>", "<end_of_turn>"],
    "Gemma",
    "<start_of_turn>user\nS\n\nU<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n",
  ],
  [
    ["<|user|>", "<|assistant|>", "<|end|>"],
    "Phi 3",
    "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\nA<|end|>\n<|user|>\nV<|end|>\n<|assistant|>\n",
  ],
  [["<｜User｜>", "<｜Assistant｜>"], "DeepSeek", "S<｜User｜>U<｜Assistant｜>A<｜User｜>V<｜Assistant｜>"],
  [["[INST]", "[/INST]"], "Mistral", "[INST] S\n\nU[/INST] A[INST] V[/INST]"],
  [["<s>", "</s>"], "plain text", "S\n\nUser: U\nAssistant: A\nUser: V\nAssistant:"],
];

describe("the general form for a model without a usable template", () => {
  it.each(rows)("with the special tokens %j is %s", (tokens, name, prompt) => {
    const form = formOf(tokens);
    expect(form.name).toBe(name);
    const prompts = promptsOfSource({
      ...form,
      compile: (source) => new Template(source),
      now: () => new Date(),
      blankInFirstToken: false,
    });
    const text = prompts.render(
      promptOf("S", [
        { role: "user", content: "U" },
        { role: "assistant", content: "A" },
        { role: "user", content: "V" },
      ]),
    );
    expect(text.values.filter((value) => !(value instanceof SpecialToken)).join("")).toBe(prompt);
  });

  it("is that of the broken template's markers, if the vocabulary has none", () => {
    expect(formOf([], "{% x <|im_start|> <|im_end|>").name).toBe("ChatML");
    expect(formOf(["[INST]", "[/INST]"], "{% x <|im_start|> <|im_end|>").name).toBe("Mistral");
    expect(formOf(["<|im_start|>"], "").name).toBe("plain text");
  });
});
