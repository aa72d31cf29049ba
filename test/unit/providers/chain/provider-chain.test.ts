import { describe, expect, it } from "vitest";
import { Stopper } from "../../../../src/core/stop-signal.ts";
import type { AnswerPart } from "../../../../src/providers/provider.ts";
import { chatRequest } from "../../../support/chat-request.ts";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure } from "./chain-bench.ts";
import { partsOf } from "../../../support/parts-of.ts";

const retry = { retries: 2, maxWaitMs: 2000 };

describe("an answer of the first provider", () => {
  it("is passed on unchanged and leaves no timer", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"]);
    const answer = ask();
    await settle();
    providerAt(0).call.queued(2).start().progress(1, 2).say("a", "b").finish();
    await settle();
    expect(answer.types()).toEqual(["queued", "started", "progress", "text-delta", "text-delta", "finish"]);
    expect(answer.ended).toBeNull();
    expect(providerAt(1).calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it("stops the provider when the reader stops reading", async () => {
    const { chain, providerAt } = chainBench(["local"]);
    const stream = partsOf<AnswerPart>(chain, chatRequest("Hi"));
    const first = stream.next();
    await settle();
    providerAt(0).call.start().say("a");
    await first;
    await stream.return(undefined);
    expect(providerAt(0).call.stopped).toBe(true);
  });
});

describe("a failure before the first token", () => {
  it("moves the answer to the next provider with a notice", async () => {
    const { ask, providerAt, metrics } = chainBench(["local", "openai"]);
    const answer = ask({ maxTokens: 50 });
    await settle();
    providerAt(0).call.start().fail(failure("local", "provider_unavailable"));
    await settle();
    providerAt(1).call.answer("Hello");
    await settle();
    expect(answer.types()).toEqual(["started", "fallback", "started", "text-delta", "finish"]);
    expect(answer.fallbacks()).toEqual([
      {
        type: "fallback",
        fromProvider: "local",
        toProvider: "openai",
        phase: "before_first_token",
        reason: "The AI service is not available right now. Try again in a moment.",
      },
    ]);
    expect(providerAt(1).call.request).toMatchObject({ maxTokens: 50 });
    expect(providerAt(1).call.request.continueFrom).toBeUndefined();
    expect(metrics.fallbacks).toEqual(["local>openai before_first_token"]);
  });

  it("is retried with growing delays and without a notice", async () => {
    const { ask, providerAt, clock, metrics } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    for (const wait of [187.5, 375]) {
      await settle();
      providerAt(0).call.start().fail(failure("openai", "provider_unavailable"));
      await clock.pass(wait - 1);
      const calls = providerAt(0).calls.length;
      await clock.pass(1);
      expect(providerAt(0).calls).toHaveLength(calls + 1);
    }
    providerAt(0).call.start().fail(failure("openai", "provider_unavailable"));
    await settle();
    providerAt(1).call.answer("x");
    await settle();
    expect(providerAt(0).calls).toHaveLength(3);
    expect(metrics.retries).toEqual(["openai", "openai"]);
    expect(answer.fallbacks()).toHaveLength(1);
    expect(answer.text()).toBe("x");
  });

  it("is retried after Retry-After, or moves on at once if that is too long", async () => {
    const { ask, providerAt, clock } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    providerAt(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 1500 }));
    await clock.pass(1499);
    expect(providerAt(0).calls).toHaveLength(1);
    await clock.pass(200);
    expect(providerAt(0).calls).toHaveLength(2);
    providerAt(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 2001 }));
    await settle();
    providerAt(1).call.answer("x");
    await settle();
    expect(answer.text()).toBe("x");
  });

  it.each(["provider_auth", "provider_quota", "bad_request", "prompt_too_long"] as const)(
    "is not retried on the same provider for %s",
    async (code) => {
      const { ask, providerAt } = chainBench(["openai", "local"], { retry });
      const answer = ask();
      await settle();
      providerAt(0).call.fail(failure("openai", code));
      await settle();
      providerAt(1).call.answer("x");
      await settle();
      expect([providerAt(0).calls.length, answer.text()]).toEqual([1, "x"]);
    },
  );

  it("due to refused content ends the answer without trying another provider", async () => {
    const { ask, providerAt } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    providerAt(0).call.fail(failure("openai", "content_refused"));
    await settle();
    expect(answer.ended).toMatchObject({ code: "content_refused" });
    expect(providerAt(1).calls).toHaveLength(0);
  });

  it("of all providers becomes one error with the retryable code, all reasons and the shortest wait", async () => {
    const { ask, providerAt } = chainBench(["openai", "huggingface", "local"]);
    const answer = ask();
    await settle();
    providerAt(0).call.fail(failure("openai", "provider_auth"));
    await settle();
    providerAt(1).call.fail(failure("huggingface", "provider_rate_limited", { retryAfterMs: 9000 }));
    await settle();
    providerAt(2).call.fail(failure("local", "overloaded", { retryAfterMs: 4000 }));
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

describe("a failure in the middle of an answer", () => {
  it("is continued by the next provider from the text so far with the remaining tokens", async () => {
    const { ask, providerAt } = chainBench(["openai", "local"], { retry });
    const answer = ask({ maxTokens: 10 });
    await settle();
    providerAt(0).call.start().say("The sea", " is").fail(failure("openai", "bad_answer"));
    await settle();
    expect(providerAt(0).calls).toHaveLength(1);
    expect(providerAt(1).call.request).toMatchObject({ continueFrom: "The sea is", maxTokens: 8 });
    providerAt(1).call.answer(" blue.");
    await settle();
    expect(answer.text()).toBe("The sea is blue.");
    expect(answer.fallbacks()).toMatchObject([
      { fromProvider: "openai", toProvider: "local", phase: "mid_stream" },
    ]);
  });

  it("is continued more than once", async () => {
    const { ask, providerAt } = chainBench(["openai", "huggingface", "local"]);
    const answer = ask();
    await settle();
    providerAt(0).call.start().say("a").fail(failure("openai", "bad_answer"));
    await settle();
    providerAt(1).call.start().say("b".repeat(200)).fail(failure("huggingface", "bad_answer"));
    await settle();
    providerAt(2).call.answer("c");
    await settle();
    expect(answer.text()).toBe(`a${"b".repeat(200)}c`);
    expect(answer.fallbacks()).toHaveLength(2);
  });

  it("is continued without the repetition of an instructed model, and unchanged for a prefilled one", async () => {
    const before = "The capital of France is Paris, a city";
    for (const [name, rest] of [
      ["openai", " on the Seine."],
      ["local", "France is Paris, a city on the Seine."],
    ] as const) {
      const { ask, providerAt } = chainBench(["huggingface", name]);
      const answer = ask();
      await settle();
      providerAt(0).call.start().say(before).fail(failure("huggingface", "bad_answer"));
      await settle();
      providerAt(1).call.answer("France is Paris", ", a city on the Seine.");
      await settle();
      expect(answer.text()).toBe(before + rest);
    }
  });

  it("drops the held text of a continuation that fails as well, but counts its tokens", async () => {
    const { ask, providerAt } = chainBench(["local", "openai", "huggingface"]);
    const answer = ask();
    await settle();
    providerAt(0).call.start().say("one ").fail(failure("local", "provider_timeout"));
    await settle();
    providerAt(1).call.start().say("two", "three").fail(failure("openai", "bad_answer"));
    await settle();
    expect(providerAt(2).call.request.continueFrom).toBe("one ");
    providerAt(2).call.answer("two");
    await settle();
    expect(answer.text()).toBe("one two");
    expect(answer.parts).toContainEqual({ type: "text-delta", text: "", tokens: 2 });
  });

  it("ends the answer with `length` if all providers together have used its tokens", async () => {
    const { ask, providerAt } = chainBench(["openai", "local"]);
    const answer = ask({ maxTokens: 2 });
    await settle();
    providerAt(0).call.start().say("a", "b").fail(failure("openai", "bad_answer"));
    await settle();
    expect(answer.parts.at(-1)).toEqual({
      type: "finish",
      reason: "length",
      usage: { promptTokens: 7, completionTokens: 2, cachedTokens: 0 },
    });
    expect(providerAt(1).calls).toHaveLength(0);
  });

  it("ends the answer with its error if continuing is disabled", async () => {
    const { ask, providerAt } = chainBench(["openai", "local"], { continueMidStream: false });
    const answer = ask();
    await settle();
    providerAt(0).call.start().say("a").fail(failure("openai", "bad_answer"));
    await settle();
    expect(answer.ended).toMatchObject({ code: "bad_answer" });
    expect(providerAt(1).calls).toHaveLength(0);
  });
});

describe("an answer with a schema", () => {
  it.each([true, false])(
    "is passed on as a whole, and restarts after a failure (continueMidStream %s)",
    async (on) => {
      const { ask, providerAt } = chainBench(["openai", "local"], { continueMidStream: on });
      const answer = ask({ jsonSchema: { type: "object" }, maxTokens: 9 });
      await settle();
      providerAt(0).call.start().say('{"a":', "1").fail(failure("openai", "bad_answer"));
      await settle();
      expect(providerAt(1).call.request).toMatchObject({ maxTokens: 9 });
      expect(providerAt(1).call.request.continueFrom).toBeUndefined();
      providerAt(1).call.answer('{"a":', "2}");
      await settle();
      expect(answer.text()).toBe('{"a":2}');
      expect(answer.fallbacks()).toMatchObject([{ phase: "before_first_token" }]);
    },
  );
});

describe("the reader of an answer", () => {
  it("can stop the answer while the held text is released, and the answer is then not complete", async () => {
    const { chain, providerAt } = chainBench(["local", { name: "openai", continuation: "instructed" }]);
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
      () => "complete",
      (error: Error) => error.message,
    );
    await settle();
    providerAt(0).call.start().say("a").fail(failure("local", "engine_crashed"));
    await settle();
    providerAt(1).call.answer("b");
    expect(await outcome).toBe("enough");
    expect(texts).toEqual(["a", "b"]);
  });

  it("ends the answer with the error it throws, and no other provider is tried", async () => {
    const { chain, providerAt } = chainBench(["local", "openai"]);
    const answer = chain.stream(chatRequest("Hi"), {
      signal: new Stopper(),
      onPart: ({ type }) => {
        if (type === "text-delta") throw new Error("the log is broken");
      },
    });
    const outcome = answer.then(
      () => "complete",
      (error: Error) => error.message,
    );
    await settle();
    providerAt(0).call.start().say("a");
    expect(await outcome).toBe("the log is broken");
    expect(providerAt(1).calls).toHaveLength(0);
  });
});
