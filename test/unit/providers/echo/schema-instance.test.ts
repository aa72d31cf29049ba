import { Ajv } from "ajv";
import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { instanceOf } from "../../../../src/providers/echo/schema-instance.ts";
import type { JsonSchema } from "../../../../src/providers/provider.ts";

const ajv = new Ajv({ strict: false });

const { schema } = fc.letrec<{ schema: JsonSchema; leaf: JsonSchema }>((tie) => ({
  leaf: fc.oneof(
    fc.record({
      type: fc.constant("string"),
      minLength: fc.nat(5),
      maxLength: fc.integer({ min: 5, max: 9 }),
    }),
    fc.record({ type: fc.constant("integer"), minimum: fc.integer({ min: -5, max: 5 }) }),
    fc.record({ type: fc.constant("number"), minimum: fc.constant(0.25), maximum: fc.constant(0.75) }),
    fc.record({ type: fc.constant("number"), exclusiveMinimum: fc.integer({ min: -5, max: 5 }) }),
    fc.record({ type: fc.constant("number"), maximum: fc.integer({ min: -9, max: -5 }) }),
    fc.record({ enum: fc.uniqueArray(fc.string(), { minLength: 1 }) }),
    fc.record({ const: fc.string() }),
    fc.constantFrom<JsonSchema>({ type: "boolean" }, { type: "null" }, { type: ["string", "null"] }),
  ),
  schema: fc.oneof(
    { maxDepth: 3 },
    tie("leaf"),
    fc.record({ type: fc.constant("array"), items: tie("schema"), minItems: fc.nat(3) }),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }) }),
    fc
      .dictionary(fc.string({ minLength: 1, unit: "grapheme-ascii" }), tie("schema"), { maxKeys: 3 })
      .map((properties): JsonSchema => ({
        type: "object",
        properties,
        required: Object.keys(properties),
        additionalProperties: false,
      })),
  ),
}));

describe("the smallest instance of a schema", () => {
  it("satisfies the schema", () => {
    fc.assert(
      fc.property(schema, (wanted) => {
        const validate = ajv.compile({ ...wanted });
        const instance: unknown = JSON.parse(JSON.stringify(instanceOf(wanted)));
        const valid = validate(instance);
        expect({ instance, valid, errors: validate.errors }).toEqual({ instance, valid: true, errors: null });
      }),
    );
  });

  it("has no optional content", () => {
    const properties = { a: { type: "array", items: { type: "string" } }, b: { type: "string" } };
    expect(instanceOf({ type: "object", properties, required: ["a"] })).toEqual({ a: [] });
  });
});
