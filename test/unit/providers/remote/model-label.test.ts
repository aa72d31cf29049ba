import { expect, it } from "vitest";
import { modelLabel } from "../../../../src/providers/remote/model-label.ts";

it.each([
  ["gpt-4o-mini", "gpt-4o-mini"],
  ["meta-llama/Llama-3.1-8B-Instruct:novita", "meta-llama/Llama-3.1-8B-Instruct:novita"],
  ["/srv/models/qwen2.5-q4_k_m.gguf", "qwen2.5-q4_k_m"],
  ["./models/a", "a"],
  ["~/a/b/", "b"],
  ["models\\a.GGUF", "a"],
  ["C:\\models\\a", "a"],
  ["/", "model"],
])("the model %s is shown as %s", (model, label) => expect(modelLabel(model)).toBe(label));
