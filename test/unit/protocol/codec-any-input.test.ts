import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { createFrameDecoder } from "../../../src/protocol/codec.ts";

const decode = createFrameDecoder({ maxMessageChars: 100, maxOutputTokens: 512 });

const fieldNames = fc.constantFrom(
  "type",
  "message",
  "id",
  "conversation",
  "stream",
  "max_tokens",
  "temperature",
  "seed",
  "answer",
  "session",
  "answers",
  "from",
  "__proto__",
  "constructor",
  "toString",
);
const typeNames = fc.constantFrom("message", "cancel", "resume", "ping", "token", "__proto__");
const fieldValue = fc.oneof(
  fc.jsonValue(),
  fc.string({ unit: "binary", maxLength: 120 }),
  typeNames,
  fc.double(),
  fc.array(fc.record({ answer: fc.jsonValue(), from: fc.jsonValue() })),
);

describe("the frame decoder with arbitrary input", () => {
  it("returns a frame or an error message and never throws", () => {
    const frames = fc.array(fc.tuple(fieldNames, fieldValue), { maxLength: 6 }).map((fields) => {
      // Built as text, so that __proto__ and duplicate keys are kept.
      const members = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
      return `{${members.join(",")}}`;
    });
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json({ noUnicodeString: false }),
      frames,
      frames,
    );
    let accepted = 0;
    fc.assert(
      fc.property(texts, (text) => {
        const decoded = decode(text);
        if (decoded.ok) {
          accepted++;
          expect(["message", "cancel", "resume", "ping"]).toContain(decoded.frame.type);
          expect(Object.getPrototypeOf(decoded.frame)).toBe(Object.prototype);
        } else {
          expect(decoded.message.length).toBeGreaterThan(10);
          expect(decoded.message.length).toBeLessThan(400);
        }
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });

  it("refuses a valid frame with one field of the wrong type, and names the field", () => {
    const valid = {
      type: "message",
      message: "x",
      id: "i",
      conversation: "c",
      stream: true,
      max_tokens: 5,
      temperature: 1,
      seed: 1,
    };
    const kinds: Record<string, string> = {
      message: "string",
      id: "string",
      conversation: "string",
      stream: "boolean",
      max_tokens: "number",
      temperature: "number",
      seed: "number",
    };
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(kinds)), fc.jsonValue(), (name, value) => {
        fc.pre(typeof value !== kinds[name]);
        const decoded = decode(JSON.stringify({ ...valid, [name]: value }));
        expect(decoded).toMatchObject({
          ok: false,
          message: expect.stringContaining(`\`${name}\``) as string,
        });
      }),
      { numRuns: 500 },
    );
  });
});
