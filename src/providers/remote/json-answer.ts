import { Ajv, type ValidateFunction } from "ajv";
import type { JsonSchema } from "../provider.ts";

/** A server without a parser for reasoning sends a model's thoughts as text, up to this mark. */
const THOUGHT_END = "</think>";

function parse(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** Compiled once for each schema, and forgotten with it. */
const validators = new WeakMap<JsonSchema, ValidateFunction>();

function validatorOf(schema: JsonSchema): ValidateFunction {
  const known = validators.get(schema);
  if (known) return known;
  // One instance each: an instance would keep all schemas that it ever compiled.
  const compiled = new Ajv({ strict: false, validateFormats: false, logger: false }).compile(schema);
  validators.set(schema, compiled);
  return compiled;
}

/**
 * The JSON in an answer: as it is, without a code fence around it, or without the words before and after it, which
 * models that were only asked for JSON like to add. Null when there is none.
 */
export function jsonOf(answer: string): string | null {
  const thought = answer.lastIndexOf(THOUGHT_END);
  const text = (thought === -1 ? answer : answer.slice(thought + THOUGHT_END.length)).trim();
  const fenced = /^```[a-z]*\s*\n([\s\S]*)\n\s*```$/i.exec(text)?.[1]?.trim();
  const object = text.slice(Math.max(text.indexOf("{"), 0), text.lastIndexOf("}") + 1);
  for (const candidate of [text, fenced, object]) {
    if (candidate && parse(candidate)) return candidate;
  }
  return null;
}

export type CheckedJson =
  | { readonly json: string }
  /** What is wrong, in words for the model. May name fields of the answer: not for logs or people. */
  | { readonly fault: string };

/** Finds the JSON in an answer and holds it against its schema. */
export function checkedJson(answer: string, schema: JsonSchema): CheckedJson {
  const json = jsonOf(answer);
  if (json === null) return { fault: "it holds no JSON value" };
  const validate = validatorOf(schema);
  if (validate(JSON.parse(json))) return { json };
  const { instancePath = "", message = "does not satisfy the schema" } = validate.errors?.[0] ?? {};
  return { fault: `the value${instancePath ? ` at ${instancePath}` : ""} ${message}` };
}
