import { fieldsOf, type JsonFields } from "../../../core/json-fields.ts";

/**
 * Fields of a delta that hold reasoning beside the answer. Servers repeat the same reasoning in several of them, so only
 * the first one that has text counts.
 *
 * `reasoning_content`: DeepSeek, vLLM, llama-server, LM Studio; `reasoning`: OpenRouter, Ollama, Groq, newer vLLM;
 * `thinking`: Ollama's own form and others; `reasoning_text`: GitHub's models; `reasoning_details`: OpenRouter;
 * `thinking_blocks`: LiteLLM.
 */
const fields = [
  "reasoning_content",
  "reasoning",
  "thinking",
  "reasoning_text",
  "reasoning_details",
  "thinking_blocks",
] as const;

/** Types of the parts of a content list that hold reasoning. */
const partTypes: ReadonlySet<unknown> = new Set(["thinking", "reasoning", "thought"]);

/** Maximum depth of nested lists of texts. */
const MAX_DEPTH = 3;

/** The reasoning in a delta of a stream, beside its content or in a content list; often empty. */
export function reasoningOf(delta: JsonFields): string {
  for (const field of fields) {
    const text = textIn(delta[field]);
    if (text !== "") return text;
  }
  const { content } = delta;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (partTypes.has(fieldsOf(part)["type"]) ? textIn(part) : "")).join("");
}

/** The text of a string, of an object with one, or of a list of them. Other values, such as signatures, have none. */
function textIn(value: unknown, depth = 0): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return "";
  if (Array.isArray(value)) return value.map((item) => textIn(item, depth + 1)).join("");
  const { text, thinking, reasoning, summary, content } = value as JsonFields;
  return textIn(text ?? thinking ?? reasoning ?? summary ?? content, depth + 1);
}
