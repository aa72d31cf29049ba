import { fieldsOf, type JsonFields } from "../../core/json-fields.ts";
import type { JsonSchema } from "../provider.ts";

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function smallestNumber(schema: JsonFields): number {
  const whole = schema["type"] === "integer";
  const above = numberOf(schema["exclusiveMinimum"]);
  const min = Math.max(
    numberOf(schema["minimum"]) ?? Number.NEGATIVE_INFINITY,
    above === undefined ? Number.NEGATIVE_INFINITY : above + (whole ? 1 : 0.5),
  );
  const below = numberOf(schema["exclusiveMaximum"]);
  const max = Math.min(
    numberOf(schema["maximum"]) ?? Number.POSITIVE_INFINITY,
    below === undefined ? Number.POSITIVE_INFINITY : below - (whole ? 1 : 0.5),
  );
  const value = Math.min(Math.max(0, min), max);
  return whole ? Math.ceil(value) : value;
}

function objectOf(schema: JsonFields): unknown {
  const properties = fieldsOf(schema["properties"]);
  const required = schema["required"];
  const names = Array.isArray(required) ? required.filter((name) => typeof name === "string") : [];
  return Object.fromEntries(names.map((name) => [name, instanceOf(fieldsOf(properties[name]))]));
}

/**
 * Builds the smallest instance of a schema, so that commands with a schema work in load tests. Supports the subset used
 * for answers: object, array, string, number, integer, boolean, null, enum, const, and the first of anyOf / oneOf.
 */
export function instanceOf(schema: JsonSchema): unknown {
  if ("const" in schema) return schema["const"];
  const options = schema["enum"] ?? schema["anyOf"] ?? schema["oneOf"];
  if (Array.isArray(options)) {
    return schema["enum"] === undefined ? instanceOf(fieldsOf(options[0])) : options[0];
  }
  const type = Array.isArray(schema["type"]) ? schema["type"][0] : schema["type"];
  switch (type) {
    case "object":
      return objectOf(schema);
    case "array":
      return Array.from({ length: numberOf(schema["minItems"]) ?? 0 }, () =>
        instanceOf(fieldsOf(schema["items"])),
      );
    case "string":
      return "x".repeat(numberOf(schema["minLength"]) ?? 0);
    case "number":
    case "integer":
      return smallestNumber({ ...schema, type });
    case "boolean":
      return false;
    default:
      return "properties" in schema ? objectOf(schema) : null;
  }
}
