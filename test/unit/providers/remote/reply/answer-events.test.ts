import fc from "../../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { AnswerEvents } from "../../../../../src/providers/remote/reply/answer-events.ts";

interface Outcome {
  readonly events: string;
  readonly faults: readonly string[];
}

function read(...texts: readonly string[]): Outcome {
  const faults: string[] = [];
  const events = new AnswerEvents({
    onError: (body) => void faults.push(`error ${JSON.stringify(body)}`),
    onForeign: (text) => void faults.push(`foreign ${text}`),
    onTooLong: () => void faults.push("too long"),
  });
  const sent = texts.map((text) => events.push(text)).join("") + events.end();
  return { events: sent, faults };
}

const chunk = '{"choices":[{"delta":{"content":"Hi"}}]}';
const FAILURE = 'data: {"error":"failed"}\n\n';

/** Pieces of bodies, sensible and not. */
const part = fc.oneof(
  fc.constantFrom(
    ...[
      "\n",
      "\r",
      "\r\n",
      "\n\n",
      "data: ",
      "data:",
      "event: error",
      ": ping",
      "[DONE]",
      "ping",
      "{",
      "}",
      "[",
    ],
    ...[
      chunk,
      '{"error":"no"}',
      '{"detail":"no"}',
      "null",
      "<html>",
      "retry: 3",
      '{"choices":[],"error":null}',
    ],
  ),
  fc.string({ maxLength: 20, size: "max" }),
);

describe("the events of an answer", () => {
  it("are the same for every division of the body", () => {
    const body = fc.array(part, { maxLength: 40, size: "max" });
    fc.assert(
      fc.property(body, (parts) => {
        const whole = parts.join("");
        const outcome = read(whole);
        expect(read(...parts)).toEqual(outcome);
        expect(read(...whole)).toEqual(outcome);
      }),
    );
  });

  it("are one line each with a blank line after it, end with a failure, and report it once", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40, size: "max" }), (parts) => {
        const { events, faults } = read(...parts);
        expect(events).toMatch(/^(data: [^\n]+\n\n)*$/);
        expect(faults.length).toBeLessThanOrEqual(1);
        if (faults.length > 0) expect(events.endsWith(FAILURE)).toBe(true);
      }),
    );
  });

  it("keep the texts before an error", () => {
    const { events, faults } = read(`data: ${chunk}\n\ndata: [{"error":"no"}]\n\ndata: ${chunk}\n\n`);
    expect(events).toBe(`data: ${chunk}\n\n${FAILURE}`);
    expect(faults).toEqual(['error {"error":"no"}']);
  });

  it.each([
    ["a line", "data: ", "x"],
    ["data on many lines", "data: {\n", 'data: "a":\n'],
    ["a document", "<html>\n", "<p>x</p>\n"],
  ])("fail for %s without end", (_, begin, more) => {
    const texts = Array.from({ length: 150 }, () => more.repeat(Math.ceil(20_000 / more.length)));
    const { events, faults } = read(begin, ...texts);
    expect(events === FAILURE).toBe(true);
    expect(faults).toEqual(["too long"]);
  });
});
