import { describe, expect, it } from "vitest";
import { Stopper } from "../../../../src/core/stop-signal.ts";
import type { AnswerPart } from "../../../../src/providers/provider.ts";
import { chatRequest } from "../../../support/chat-request.ts";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure } from "./chain-bench.ts";
import { partsOf } from "../../../support/parts-of.ts";

const retry = { retries: 2, longestWaitMs: 2000 };

describe("one provider that answers", () => {
  it("is passed on as it is, and leaves no timer", async () => {
    const { ask, back, clock } = chainBench(["local", "openai"]);
    const answer = ask();
    await settle();
    back(0).call.queued(2).start().progress(1, 2).say("a", "b").finish();
    await settle();
    expect(answer.types()).toEqual(["queued", "started", "progress", "text-delta", "text-delta", "finish"]);
    expect(answer.ended).toBeNull();
    expect(back(1).calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it("ends its work when the reader stops it", async () => {
    const { chain, back } = chainBench(["local"]);
    const stream = partsOf<AnswerPart>(chain, chatRequest("Hi"));
    const first = stream.next();
    await settle();
    back(0).call.start().say("a");
    await first;
    await stream.return(undefined);
    expect(back(0).call.stopped).toBe(true);
  });
});

describe("a failure before the first token", () => {
  it("goes to the next provider, with a notice", async () => {
    const { ask, back, metrics } = chainBench(["local", "openai"]);
    const answer = ask({ maxTokens: 50 });
    await settle();
    back(0).call.start().fail(failure("local", "provider_unavailable"));
    await settle();
    back(1).call.answer("Hello");
    await settle();
    expect(answer.types()).toEqual(["started", "fallback", "started", "text-delta", "finish"]);
    expect(answer.fallbacks()).toEqual([
      {
        type: "fallback",
        fromProvider: "local",
        toProvider: "openai",
        phase: "before_first_token",
        reason: "local: provider_unavailable.",
      },
    ]);
    expect(back(1).call.request).toMatchObject({ maxTokens: 50 });
    expect(back(1).call.request.continueFrom).toBeUndefined();
    expect(metrics.fallbacks).toEqual(["local>openai before_first_token"]);
  });

  it("is tried again with growing pauses while that may help, without a notice", async () => {
    const { ask, back, clock, metrics } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    for (const wait of [187.5, 375]) {
      await settle();
      back(0).call.start().fail(failure("openai", "provider_unavailable"));
      await clock.pass(wait - 1);
      const calls = back(0).calls.length;
      await clock.pass(1);
      expect(back(0).calls).toHaveLength(calls + 1);
    }
    back(0).call.start().fail(failure("openai", "provider_unavailable"));
    await settle();
    back(1).call.answer("x");
    await settle();
    expect(back(0).calls).toHaveLength(3);
    expect(metrics.retries).toEqual(["openai", "openai"]);
    expect(answer.fallbacks()).toHaveLength(1);
    expect(answer.text()).toBe("x");
  });

  it("waits as long as Retry-After says, and goes on at once where that is too long", async () => {
    const { ask, back, clock } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    back(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 1500 }));
    await clock.pass(1499);
    expect(back(0).calls).toHaveLength(1);
    await clock.pass(200);
    expect(back(0).calls).toHaveLength(2);
    back(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 2001 }));
    await settle();
    back(1).call.answer("x");
    await settle();
    expect(answer.text()).toBe("x");
  });

  it.each(["provider_auth", "provider_quota", "bad_request", "prompt_too_long"] as const)(
    "is not tried again on the same provider: %s",
    async (code) => {
      const { ask, back } = chainBench(["openai", "local"], { retry });
      const answer = ask();
      await settle();
      back(0).call.fail(failure("openai", code));
      await settle();
      back(1).call.answer("x");
      await settle();
      expect([back(0).calls.length, answer.text()]).toEqual([1, "x"]);
    },
  );

  it("by a refused content ends the answer: nobody else is asked to get around it", async () => {
    const { ask, back } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    back(0).call.fail(failure("openai", "content_refused"));
    await settle();
    expect(answer.ended).toMatchObject({ code: "content_refused" });
    expect(back(1).calls).toHaveLength(0);
  });

  it("of all is one error: the code that may pass, all reasons, the shortest wait", async () => {
    const { ask, back } = chainBench(["openai", "huggingface", "local"]);
    const answer = ask();
    await settle();
    back(0).call.fail(failure("openai", "provider_auth"));
    await settle();
    back(1).call.fail(failure("huggingface", "provider_rate_limited", { retryAfterMs: 9000 }));
    await settle();
    back(2).call.fail(failure("local", "overloaded", { retryAfterMs: 4000 }));
    await settle();
    expect(answer.ended).toMatchObject({
      code: "provider_rate_limited",
      retryable: true,
      retryAfterMs: 4000,
      message:
        "No provider could answer. openai: provider_auth. huggingface: provider_rate_limited. local: overloaded.",
    });
  });
});

describe("a failure in the middle", () => {
  it("goes on with the next provider from the text so far, with what is left of the tokens", async () => {
    const { ask, back } = chainBench(["openai", "local"], { retry });
    const answer = ask({ maxTokens: 10 });
    await settle();
    back(0).call.start().say("The sea", " is").fail(failure("openai", "bad_answer"));
    await settle();
    expect(back(0).calls).toHaveLength(1);
    expect(back(1).call.request).toMatchObject({ continueFrom: "The sea is", maxTokens: 8 });
    back(1).call.answer(" blue.");
    await settle();
    expect(answer.text()).toBe("The sea is blue.");
    expect(answer.fallbacks()).toMatchObject([
      { fromProvider: "openai", toProvider: "local", phase: "mid_stream" },
    ]);
  });

  it("goes on more than once", async () => {
    const { ask, back } = chainBench(["openai", "huggingface", "local"]);
    const answer = ask();
    await settle();
    back(0).call.start().say("a").fail(failure("openai", "bad_answer"));
    await settle();
    back(1).call.start().say("b".repeat(200)).fail(failure("huggingface", "bad_answer"));
    await settle();
    back(2).call.answer("c");
    await settle();
    expect(answer.text()).toBe(`a${"b".repeat(200)}c`);
    expect(answer.fallbacks()).toHaveLength(2);
  });

  it("trims what an instructed model repeats, and passes a prefilled one on untouched", async () => {
    const said = "The capital of France is Paris, a city";
    for (const [name, rest] of [
      ["openai", " on the Seine."],
      ["local", "France is Paris, a city on the Seine."],
    ] as const) {
      const { ask, back } = chainBench(["huggingface", name]);
      const answer = ask();
      await settle();
      back(0).call.start().say(said).fail(failure("huggingface", "bad_answer"));
      await settle();
      back(1).call.answer("France is Paris", ", a city on the Seine.");
      await settle();
      expect(answer.text()).toBe(said + rest);
    }
  });

  it("drops held text of a continuation that fails too, but counts its tokens", async () => {
    const { ask, back } = chainBench(["local", "openai", "huggingface"]);
    const answer = ask();
    await settle();
    back(0).call.start().say("one ").fail(failure("local", "provider_timeout"));
    await settle();
    back(1).call.start().say("two", "three").fail(failure("openai", "bad_answer"));
    await settle();
    expect(back(2).call.request.continueFrom).toBe("one ");
    back(2).call.answer("two");
    await settle();
    expect(answer.text()).toBe("one two");
    expect(answer.parts).toContainEqual({ type: "text-delta", text: "", tokens: 2 });
  });

  it("ends as `length` when the tokens of all together are the limit", async () => {
    const { ask, back } = chainBench(["openai", "local"]);
    const answer = ask({ maxTokens: 2 });
    await settle();
    back(0).call.start().say("a", "b").fail(failure("openai", "bad_answer"));
    await settle();
    expect(answer.parts.at(-1)).toEqual({
      type: "finish",
      reason: "length",
      usage: { promptTokens: 7, completionTokens: 2, cachedTokens: 0 },
    });
    expect(back(1).calls).toHaveLength(0);
  });

  it("ends with its error where nobody may go on", async () => {
    const { ask, back } = chainBench(["openai", "local"], { continueMidStream: false });
    const answer = ask();
    await settle();
    back(0).call.start().say("a").fail(failure("openai", "bad_answer"));
    await settle();
    expect(answer.ended).toMatchObject({ code: "bad_answer" });
    expect(back(1).calls).toHaveLength(0);
  });
});

describe("an answer with a schema", () => {
  it.each([true, false])("is passed on whole, and starts again whole (continueMidStream %s)", async (on) => {
    const { ask, back } = chainBench(["openai", "local"], { continueMidStream: on });
    const answer = ask({ jsonSchema: { type: "object" }, maxTokens: 9 });
    await settle();
    back(0).call.start().say('{"a":', "1").fail(failure("openai", "bad_answer"));
    await settle();
    expect(back(1).call.request).toMatchObject({ maxTokens: 9 });
    expect(back(1).call.request.continueFrom).toBeUndefined();
    back(1).call.answer('{"a":', "2}");
    await settle();
    expect(answer.text()).toBe('{"a":2}');
    expect(answer.fallbacks()).toMatchObject([{ phase: "before_first_token" }]);
  });
});

describe("the reader of an answer", () => {
  it("may have enough in the very text that was held until the end: the answer is not whole", async () => {
    const { chain, back } = chainBench(["local", { name: "openai", continuation: "instructed" }]);
    const stopper = new Stopper();
    const texts: string[] = [];
    const answer = chain.stream(chatRequest("Hi"), {
      signal: stopper,
      onPart: (part) => {
        if (part.type === "text-delta") texts.push(part.text);
        if (texts.length === 2) stopper.abort(new Error("enough"));
      },
    });
    const outcome = answer.then(
      () => "whole",
      (error: Error) => error.message,
    );
    await settle();
    back(0).call.start().say("a").fail(failure("local", "engine_crashed"));
    await settle();
    back(1).call.answer("b");
    expect(await outcome).toBe("enough");
    expect(texts).toEqual(["a", "b"]);
  });

  it("ends the answer with what it throws, and no other provider is asked", async () => {
    const { chain, back } = chainBench(["local", "openai"]);
    const answer = chain.stream(chatRequest("Hi"), {
      signal: new Stopper(),
      onPart: ({ type }) => {
        if (type === "text-delta") throw new Error("the log is broken");
      },
    });
    const outcome = answer.then(
      () => "whole",
      (error: Error) => error.message,
    );
    await settle();
    back(0).call.start().say("a");
    expect(await outcome).toBe("the log is broken");
    expect(back(1).calls).toHaveLength(0);
  });
});
