import { describe, expect, it } from "vitest";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure } from "./chain-bench.ts";

const retry = { retries: 2, maxWaitMs: 2000 };

describe("deadlines of the chain", () => {
  const deadlines = { firstTokenMs: 1000, gapMs: 200, totalMs: 2000 };

  it("start the time for the first token when the request leaves the queue", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    providerAt(0).call.queued(1);
    await clock.pass(60_000);
    providerAt(0).call.start();
    await clock.pass(999);
    expect(answer.fallbacks()).toEqual([]);
    await clock.pass(1);
    expect(answer.fallbacks()).toMatchObject([
      { reason: "The AI service took too long to answer. Try again." },
    ]);
    expect(providerAt(0).call.stopped).toBe(true);
  });

  it("are extended by progress of the prompt", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    providerAt(0).call.start();
    await clock.pass(900);
    providerAt(0).call.progress(1, 2);
    await clock.pass(900);
    expect(answer.fallbacks()).toEqual([]);
  });

  it("limit the gap between tokens, but not the time in a queue", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    providerAt(0).call.start().say("a");
    await clock.pass(150);
    providerAt(0).call.say("b");
    await clock.pass(150);
    providerAt(0).call.queued(1);
    await clock.pass(5000);
    providerAt(0).call.say("c");
    await clock.pass(199);
    expect(answer.fallbacks()).toEqual([]);
    await clock.pass(1);
    expect(answer.fallbacks()).toMatchObject([
      { reason: "The AI service took too long to answer. Try again." },
    ]);
    expect(providerAt(1).call.request.continueFrom).toBe("abc");
  });

  it("end the answer at the total time even if another provider is left", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    providerAt(0).call.start();
    for (let at = 0; at < 2000; at += 100) {
      providerAt(0).call.say("x");
      await clock.pass(100);
    }
    expect(answer.ended).toMatchObject({
      code: "provider_timeout",
      message: expect.stringContaining("AI_TIMEOUT_SECONDS") as string,
    });
    expect(providerAt(1).calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it("prevent a retry that would exceed the total time", async () => {
    const { ask, providerAt, clock } = chainBench(["openai"], { deadlines, retry });
    const answer = ask();
    await settle();
    providerAt(0).call.start();
    await clock.pass(900);
    providerAt(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 1900 }));
    await settle();
    expect(answer.ended).toMatchObject({ code: "provider_rate_limited", retryAfterMs: 1900 });
  });
});

describe("a cancelled answer", () => {
  const reason = new Error("enough");

  it.each(["queued", "started", "in the middle of the text"])(
    "stops the work without a fallback when it is %s",
    async (when) => {
      const { ask, providerAt, clock, metrics } = chainBench(["local", "openai"]);
      const answer = ask();
      await settle();
      if (when === "queued") providerAt(0).call.queued(1);
      else providerAt(0).call.start();
      if (when === "in the middle of the text") providerAt(0).call.say("a");
      await settle();
      answer.controller.abort(reason);
      await settle();
      expect(answer.ended).toBe(reason);
      expect(providerAt(0).call.stopped).toBe(true);
      expect(providerAt(1).calls).toHaveLength(0);
      expect(metrics.fallbacks).toEqual([]);
      expect(clock.pending).toBe(0);
    },
  );

  it("ends immediately during the wait before a retry", async () => {
    const { ask, providerAt, clock } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    providerAt(0).call.fail(failure("openai", "provider_unavailable"));
    await settle();
    answer.controller.abort(reason);
    await settle();
    expect(answer.ended).toBe(reason);
    expect([providerAt(0).calls.length, providerAt(1).calls.length, clock.pending]).toEqual([1, 0, 0]);
  });

  it("counts as neither success nor failure of the provider", async () => {
    const { ask, chain, clock } = chainBench(["local"], { breaker: { failures: 1, openMs: 1000 } });
    for (let index = 0; index < 3; index++) {
      const answer = ask();
      await settle();
      answer.controller.abort(reason);
      await settle();
    }
    expect(chain.status()[0]).toMatchObject({ state: "ready", breaker: "closed" });
    expect(clock.pending).toBe(0);
  });
});
