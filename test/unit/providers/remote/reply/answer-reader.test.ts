import fc from "../../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ProviderError } from "../../../../../src/providers/provider-error.ts";
import { AnswerReader } from "../../../../../src/providers/remote/reply/answer-reader.ts";
import type { RemoteNames } from "../../../../../src/providers/remote/fault-table.ts";

const names: RemoteNames = {
  provider: "openai",
  keySetting: "K",
  modelSetting: "M",
  baseUrlSetting: "U",
  windowSetting: "W",
};
const chunk = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ delta, finish_reason }],
});

function read(...chunks: unknown[]): { text: string; reader: AnswerReader } {
  const reader = new AnswerReader(names, []);
  const text = chunks.map((one) => reader.push(one)).join("") + reader.flush();
  return { text, reader };
}

describe("the answer reader", () => {
  it("returns the content without roles and reasoning", () => {
    const { text, reader } = read(
      chunk({ role: "assistant", content: null }),
      chunk({ reasoning_content: "hmm", reasoning: "hmm" }),
      chunk({ content: "Hi" }),
      chunk({ content: "!" }, "stop"),
    );
    expect(text).toBe("Hi!");
    expect(reader.reasoning.take()).toBe("hmm");
    expect(reader.reasoning.take()).toBe("");
    expect(reader.finishReason()).toBe("stop");
  });

  it.each([
    [{ completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 5 } }, 5],
    [{ completion_tokens: 9, reasoning_tokens: 5 }, 5],
    [{ completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 50 } }, 9],
    [{ completion_tokens: 9, completion_tokens_details: { reasoning_tokens: "5" } }, 3],
    [{ completion_tokens: 9 }, 3],
  ])("reads the tokens of reasoning from %j", (usage, expected) => {
    const { reader } = read(chunk({ content: "x" }, "stop"), {
      choices: [],
      usage: { prompt_tokens: 5, ...usage },
    });
    expect(reader.usage(5, 9, 3)).toMatchObject({ completionTokens: 9, reasoningTokens: expected });
  });

  it("maps a refusal by the model to content_refused", () => {
    const { reader } = read(chunk({ refusal: "I cannot" }), chunk({}, "stop"));
    expect(() => reader.finishReason()).toThrow(
      expect.objectContaining({ code: "content_refused" }) as Error,
    );
  });

  it.each(["tool_calls", "error", "abort"])("does not accept the finish reason %j", (reason) => {
    const { reader } = read(chunk({ content: "x" }), chunk({}, reason));
    expect(() => reader.finishReason()).toThrow(ProviderError);
  });

  it.each(["toString", "__proto__", "weird"])(
    "accepts the unknown finish reason %j after text only",
    (reason) => {
      expect(read(chunk({ content: "x" }), chunk({}, reason)).reader.finishReason()).toBe("stop");
      expect(() => read(chunk({}, reason)).reader.finishReason()).toThrow(ProviderError);
    },
  );

  it("counts a finish reason as the end only after text", () => {
    const { reader } = read(chunk({}, "stop"));
    expect([reader.hasReason, reader.finished]).toEqual([true, false]);
    expect(reader.push(chunk({ content: "x" }))).toBe("x");
    expect(reader.finished).toBe(true);
  });

  it("uses the counts of the server and estimates missing ones", () => {
    const { reader } = read(chunk({ content: "x" }, "stop"), {
      choices: [],
      usage: { prompt_tokens: 5, completion_tokens: null, prompt_tokens_details: null },
    });
    expect(reader.usage(50, 7)).toEqual({
      promptTokens: 5,
      completionTokens: 7,
      cachedTokens: 0,
      estimated: true,
    });
  });

  it("treats zero as a missing count and marks the estimate", () => {
    const { reader } = read(chunk({ content: "x" }, "stop"), {
      choices: [],
      usage: { prompt_tokens: 0, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 99 } },
    });
    expect(reader.usage(50, 7)).toEqual({
      promptTokens: 50,
      completionTokens: 7,
      cachedTokens: 50,
      estimated: true,
    });
  });

  it.each([1e308, -1, 0.5, "7", Number.MAX_SAFE_INTEGER, null, {}, [3], true])(
    "replaces a count that cannot be one with the estimate: %j",
    (count) => {
      const { reader } = read(chunk({ content: "x" }, "stop"), {
        choices: [],
        usage: {
          prompt_tokens: count,
          completion_tokens: count,
          prompt_tokens_details: { cached_tokens: count },
        },
      });
      expect(reader.usage(50, 7)).toEqual({
        promptTokens: 50,
        completionTokens: 7,
        cachedTokens: 0,
        estimated: true,
      });
    },
  );

  it("returns the text of content lists and ignores the reasoning", () => {
    const { text } = read(
      chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "hmm" }] }] }),
      chunk({ content: [{ type: "text", text: "Hi" }, { type: "text", text: "!" }, null, "?"] }),
      chunk({}, "stop"),
    );
    expect(text).toBe("Hi!");
  });

  it("uses the last of running counts", () => {
    const { reader } = read(
      { ...chunk({ content: "x" }), usage: { prompt_tokens: 5, completion_tokens: 1 } },
      { ...chunk({ content: "y" }, "stop"), usage: { prompt_tokens: 5, completion_tokens: 2 } },
    );
    expect(reader.usage(0, 0)).toMatchObject({ promptTokens: 5, completionTokens: 2 });
  });

  it("accepts chunks of any shape without failing", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (values) => {
        const { reader } = read(...values, ...values.map((value) => ({ choices: value, usage: value })));
        expect(() => reader.finishReason()).toThrow(ProviderError);
        const { promptTokens, completionTokens, cachedTokens } = reader.usage(1, 2);
        expect([promptTokens, completionTokens, cachedTokens]).toEqual([1, 2, 0]);
      }),
    );
  });
});
