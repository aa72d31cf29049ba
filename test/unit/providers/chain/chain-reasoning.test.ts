import { describe, expect, it } from "vitest";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure, type Reading } from "./chain-bench.ts";

const retry = { retries: 1, maxWaitMs: 2000 };

function reasoning({ parts }: Reading): string {
  return parts.map((part) => (part.type === "reasoning-delta" ? part.text : "")).join("");
}

describe("reasoning in the chain", () => {
  it("is passed on apart from the text, and counted", async () => {
    const { ask, providerAt } = chainBench(["local"]);
    const answer = ask();
    await settle();
    providerAt(0).call.start().reason("Hm", ".").say("Hi").finish();
    await settle();
    expect([reasoning(answer), answer.text()]).toEqual(["Hm.", "Hi"]);
    expect(answer.parts.at(-1)).toMatchObject({ usage: { completionTokens: 3, reasoningTokens: 2 } });
  });

  it("meets the deadline of the first token and that of the gaps", async () => {
    const deadlines = { firstTokenMs: 1000, gapMs: 200, totalMs: 10_000 };
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { deadlines });
    const answer = ask();
    await settle();
    providerAt(0).call.start();
    await clock.pass(900);
    for (let count = 0; count < 10; count++) {
      providerAt(0).call.reason("a");
      await clock.pass(150);
    }
    expect(answer.fallbacks()).toEqual([]);
    await clock.pass(100);
    expect(answer.fallbacks()).toMatchObject([{ phase: "before_first_token" }]);
  });

  it("is no text: the next provider starts the answer, within what is left of the limit", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { retry });
    const answer = ask({ maxTokens: 10 });
    await settle();
    providerAt(0).call.start().reason("a", "b", "c").fail(failure("local", "provider_unavailable"));
    await clock.pass(5000);
    expect(providerAt(0).calls).toHaveLength(2);
    providerAt(0).call.start().reason("d").fail(failure("local", "provider_unavailable"));
    await clock.pass(5000);
    const { request } = providerAt(1).call;
    expect(request).toMatchObject({ maxTokens: 6 });
    expect(request.continueFrom).toBeUndefined();
    providerAt(1).call.start().reason("e").say("Hi").finish();
    await settle();
    expect([reasoning(answer), answer.text(), answer.ended]).toEqual(["abcde", "Hi", null]);
  });

  it("is not part of what another provider continues from", async () => {
    const { ask, providerAt } = chainBench(["local", "openai"]);
    const answer = ask({ maxTokens: 10 });
    await settle();
    providerAt(0).call.start().reason("Hm.").say("One").fail(failure("local", "engine_crashed"));
    await settle();
    expect(providerAt(1).call.request).toMatchObject({ continueFrom: "One", maxTokens: 8 });
    providerAt(1).call.start().reason("Hm again.").say(" two").finish();
    await settle();
    expect([reasoning(answer), answer.text()]).toEqual(["Hm.Hm again.", "One two"]);
  });

  it("ends the answer with `length` when it has used up the limit", async () => {
    const { ask, providerAt, clock } = chainBench(["local", "openai"], { retry });
    const answer = ask({ maxTokens: 2 });
    await settle();
    providerAt(0).call.start().reason("a", "b").fail(failure("local", "provider_unavailable"));
    await clock.pass(5000);
    expect(providerAt(0).calls).toHaveLength(1);
    expect(providerAt(1).calls).toHaveLength(0);
    expect(answer.parts.at(-1)).toMatchObject({
      type: "finish",
      reason: "length",
      usage: { completionTokens: 2, reasoningTokens: 2 },
    });
  });
});
