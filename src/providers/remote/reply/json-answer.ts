import { Ajv, type ValidateFunction } from "ajv";
import type { JsonSchema } from "../../provider.ts";

/**
 * End of reasoning that has no beginning in the text, because the template of the server opened it. The reader separates
 * it for models that are known by name; this is for the others.
 */
const REASONING_END = "</think>";
const FENCE = "```";

function parse(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** The text within a code fence. Without a regular expression: one would take cubic time for a fence of blank lines. */
function fencedText(text: string): string | undefined {
  if (!text.startsWith(FENCE) || !text.endsWith(FENCE)) return undefined;
  // After the fence: the name of a language.
  return text
    .slice(FENCE.length, -FENCE.length)
    .replace(/^[a-z]+/i, "")
    .trim();
}

/** Compiled once for each schema and released together with it. */
const validators = new WeakMap<JsonSchema, ValidateFunction>();

function validatorOf(schema: JsonSchema): ValidateFunction {
  const known = validators.get(schema);
  if (known) return known;
  // One Ajv instance per schema, because an instance keeps all schemas that it has compiled.
  const compiled = new Ajv({ strict: false, validateFormats: false, logger: false }).compile(schema);
  validators.set(schema, compiled);
  return compiled;
}

/**
 * Extracts the JSON from an answer. Removes a code fence, or words before and after the JSON, which models often add if
 * JSON is requested by the prompt only. Null if there is no JSON.
 */
export function jsonOf(answer: string): string | null {
  const reasoningEnd = answer.lastIndexOf(REASONING_END);
  const text = (reasoningEnd === -1 ? answer : answer.slice(reasoningEnd + REASONING_END.length)).trim();
  const object = text.slice(Math.max(text.indexOf("{"), 0), text.lastIndexOf("}") + 1);
  // A value may contain the marker itself.
  for (const candidate of [answer.trim(), text, fencedText(text), object]) {
    if (candidate && parse(candidate)) return candidate;
  }
  return null;
}

export type CheckedJson =
  | { readonly json: string }
  /** Description of the fault for the model. May name fields of the answer, so it must not be logged or shown. */
  | { readonly fault: string };

/** Extracts the JSON from an answer and validates it against its schema. */
export function checkedJson(answer: string, schema: JsonSchema): CheckedJson {
  const json = jsonOf(answer);
  if (json === null) return { fault: "it holds no JSON value" };
  const validate = validatorOf(schema);
  if (validate(JSON.parse(json))) return { json };
  const { instancePath = "", message = "does not satisfy the schema" } = validate.errors?.[0] ?? {};
  return { fault: `the value${instancePath ? ` at ${instancePath}` : ""} ${message}` };
}
