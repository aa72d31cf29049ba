/** The members of a JSON object of unknown shape. */
export type JsonFields = Readonly<Record<string, unknown>>;

/** The members of a parsed JSON value; empty when the value is not an object. */
export function fieldsOf(value: unknown): JsonFields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonFields) : {};
}
