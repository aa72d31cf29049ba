import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { echoAnswer, repeatToBytes } from "../../../../src/providers/echo/echo-answer.ts";
import { countEchoTokens } from "../../../../src/providers/echo/echo-tokens.ts";
import { chatRequest } from "../../../support/chat-request.ts";

const ENOUGH = 1_000_000;

describe("an echo answer", () => {
  it("is equal to the message", () => {
    expect(echoAnswer(chatRequest("Hello there"), 0)).toEqual({ text: "Hello there", reason: "stop" });
  });

  it("has the configured number of bytes for every message", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 20 }),
        fc.integer({ min: 1, max: 300 }),
        (text, bytes) => {
          const answer = repeatToBytes(text, bytes, ENOUGH);
          expect(Buffer.byteLength(answer, "utf8")).toBe(bytes);
          expect(answer).not.toMatch(/\p{Surrogate}/u);
        },
      ),
    );
  });

  it("repeats the message", () => {
    expect(repeatToBytes("ab", 5, ENOUGH)).toBe("ababa");
    expect(repeatToBytes("\u{1f600}", 6, ENOUGH)).toBe("\u{1f600}..");
    expect(repeatToBytes("", 3, ENOUGH)).toBe("...");
  });

  it("ends at the token limit, and text far beyond it is not built", () => {
    const { text, reason } = echoAnswer(chatRequest("abcd", { maxTokens: 3 }), 64 * 1_048_576);
    expect({ text, reason }).toEqual({ text: "abcdabcdabcd", reason: "length" });
    expect(repeatToBytes("abcd", 64 * 1_048_576, 20).length).toBeLessThan(100);
  });

  it("never exceeds the token limit, and ends with `length` only if it is cut", () => {
    const text = fc.string({ unit: "binary", maxLength: 40 });
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 100 }),
        (message, maxTokens, bytes) => {
          const whole = echoAnswer(chatRequest(message), bytes);
          const answer = echoAnswer(chatRequest(message, { maxTokens }), bytes);
          expect(countEchoTokens(answer.text)).toBeLessThanOrEqual(maxTokens);
          expect(whole.text.startsWith(answer.text)).toBe(true);
          expect(answer.reason).toBe(answer.text === whole.text ? "stop" : "length");
        },
      ),
    );
  });

  it("continues after text of another provider", () => {
    const continueFrom = "Hello";
    expect(echoAnswer(chatRequest("Hello there", { continueFrom }), 0).text).toBe(" there");
    expect(echoAnswer(chatRequest("Hi", { continueFrom }), 0).text).toBe("Hi");
    expect(echoAnswer(chatRequest("abc", { continueFrom: "abcab" }), 8).text).toBe("cab");
  });

  it("ends before the earliest stop text", () => {
    const sampling = { stop: ["there", "lo"] };
    expect(echoAnswer(chatRequest("Hello there", { sampling }), 0)).toEqual({ text: "Hel", reason: "stop" });
  });

  it("is an instance of the schema if there is one", () => {
    const jsonSchema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
    expect(echoAnswer(chatRequest("Hello", { jsonSchema }), 500).text).toBe('{"a":""}');
  });
});
