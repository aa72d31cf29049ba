import { describe, expect, it } from "vitest";
import type { CompletionBody } from "../../../../src/providers/remote/dialect/completion-body.ts";
import { adaptDialect, firstDialect } from "../../../../src/providers/remote/dialect/dialect.ts";
import { readRefusal } from "../../../../src/providers/remote/dialect/refusal.ts";

const body: CompletionBody = {
  model: "m",
  messages: [
    { role: "system", content: "Be kind." },
    { role: "user", content: "Hi" },
  ],
  stream: true,
  max_tokens: 5000,
  stop: ["a"],
};

/** Beginnings of what the patterns look for, which repeated could make them try again and again. */
const units = [
  ...[
    "max ",
    "1 ",
    "1,",
    "1,111,",
    "<",
    "<= ",
    " ",
    "\n",
    ". ",
    "range ",
    "between 1 ",
    "from 1 ",
    "[1",
    "5000>",
  ],
  ...["system ", "role must ", "only user ", "not ", "max_tokens ", "'stop' ", "expected one of ", "(4, "],
  ...[
    "messages.0.a.",
    "messages.0.a-",
    "first turn",
    "limit(",
    "1 (inclusive) ",
    "prompt has ",
    "context length ",
  ],
];

describe("a refusal", () => {
  it("is read in bounded time, whatever a server sends", { timeout: 60_000 }, () => {
    const start = performance.now();
    for (const unit of units) {
      const text = `max_tokens ${unit.repeat(65_536 / unit.length)} max_tokens`;
      const refusal = readRefusal({
        status: 400,
        labels: [],
        param: undefined,
        text,
        retryAfterMs: undefined,
      });
      if (refusal === null) throw new Error("no refusal");
      adaptDialect(firstDialect, refusal, body);
    }
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it.each([401, 403, 404, 429, 503])("is not a response with status %i", (status) => {
    const fault = {
      status,
      labels: [],
      param: undefined,
      text: "System role not supported",
      retryAfterMs: undefined,
    };
    expect(readRefusal(fault)).toBeNull();
  });
});
