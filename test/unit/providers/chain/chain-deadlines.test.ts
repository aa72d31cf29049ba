import { describe, expect, it } from "vitest";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure } from "./chain-bench.ts";

const retry = { retries: 2, longestWaitMs: 2000 };

describe("deadlines", () => {
  const deadlines = { firstTokenMs: 1000, gapMs: 200, totalMs: 2000 };

  it("count to the first token from leaving the queue", async () => {
    const { ask, back, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    back(0).call.queued(1);
    await clock.pass(60_000);
    back(0).call.start();
    await clock.pass(999);
    expect(answer.fallbacks()).toEqual([]);
    await clock.pass(1);
    expect(answer.fallbacks()).toMatchObject([{ reason: expect.stringContaining("AI_FIRST_TOKEN_SECONDS") }]);
    expect(back(0).call.stopped).toBe(true);
  });

  it("take progress of the prompt for a sign of life", async () => {
    const { ask, back, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    back(0).call.start();
    await clock.pass(900);
    back(0).call.progress(1, 2);
    await clock.pass(900);
    expect(answer.fallbacks()).toEqual([]);
  });

  it("end a gap between tokens, but not one in the queue", async () => {
    const { ask, back, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    back(0).call.start().say("a");
    await clock.pass(150);
    back(0).call.say("b");
    await clock.pass(150);
    back(0).call.queued(1);
    await clock.pass(5000);
    back(0).call.say("c");
    await clock.pass(199);
    expect(answer.fallbacks()).toEqual([]);
    await clock.pass(1);
    expect(answer.fallbacks()).toMatchObject([{ reason: expect.stringContaining("AI_TOKEN_GAP_SECONDS") }]);
    expect(back(1).call.request.continueFrom).toBe("abc");
  });

  it("end the whole answer with an error, whoever is left", async () => {
    const { ask, back, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    back(0).call.start();
    for (let at = 0; at < 2000; at += 100) {
      back(0).call.say("x");
      await clock.pass(100);
    }
    expect(answer.ended).toMatchObject({
      code: "provider_timeout",
      message: expect.stringContaining("AI_TIMEOUT_SECONDS") as string,
    });
    expect(back(1).calls).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });

  it("do not leave time for a retry that would come too late", async () => {
    const { ask, back, clock } = chainBench(["openai"], { deadlines, retry });
    const answer = ask();
    await settle();
    back(0).call.start();
    await clock.pass(900);
    back(0).call.fail(failure("openai", "provider_rate_limited", { retryAfterMs: 1900 }));
    await settle();
    expect(answer.ended).toMatchObject({ code: "provider_rate_limited", retryAfterMs: 1900 });
  });
});

describe("a cancel", () => {
  const reason = new Error("enough");

  it.each(["queued", "started", "amid the text"])(
    "when %s stops the work and falls over to nobody",
    async (when) => {
      const { ask, back, clock, metrics } = chainBench(["local", "openai"]);
      const answer = ask();
      await settle();
      if (when === "queued") back(0).call.queued(1);
      else back(0).call.start();
      if (when === "amid the text") back(0).call.say("a");
      await settle();
      answer.controller.abort(reason);
      await settle();
      expect(answer.ended).toBe(reason);
      expect(back(0).call.stopped).toBe(true);
      expect(back(1).calls).toHaveLength(0);
      expect(metrics.fallbacks).toEqual([]);
      expect(clock.pending).toBe(0);
    },
  );

  it("in the pause before a retry ends it at once", async () => {
    const { ask, back, clock } = chainBench(["openai", "local"], { retry });
    const answer = ask();
    await settle();
    back(0).call.fail(failure("openai", "provider_unavailable"));
    await settle();
    answer.controller.abort(reason);
    await settle();
    expect(answer.ended).toBe(reason);
    expect([back(0).calls.length, back(1).calls.length, clock.pending]).toEqual([1, 0, 0]);
  });

  it("counts neither for nor against the provider", async () => {
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
