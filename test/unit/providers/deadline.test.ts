import { describe, expect, it } from "vitest";
import { withDeadline } from "../../../src/providers/deadline.ts";
import { createEchoProvider } from "../../../src/providers/echo/echo-provider.ts";
import { answerOf, chatRequest, textOf } from "../../support/chat-request.ts";
import { VirtualClock, settle } from "../../support/virtual-clock.ts";

function limited(ms: number, slots = 0) {
  const clock = new VirtualClock();
  const echo = createEchoProvider({ tokenMs: 100, slots, answerBytes: 0 }, clock);
  return { clock, provider: withDeadline(echo, ms, clock) };
}

describe("the total time of an answer", () => {
  it("does not touch one that is done in time, and leaves no timer", async () => {
    const { clock, provider } = limited(1000);
    const answer = answerOf(provider, chatRequest("aaaabbbb"));
    await clock.pass(300);
    expect(textOf(await answer)).toBe("aaaabbbb");
    expect(clock.pending).toBe(0);
  });

  it("ends one that takes longer with `provider_timeout`, and its work", async () => {
    const { clock, provider } = limited(250);
    const answer = answerOf(provider, chatRequest("aaaabbbbcccc")).catch((error: unknown) => error);
    await clock.pass(260);
    expect(await answer).toMatchObject({
      code: "provider_timeout",
      provider: "echo",
      retryable: true,
      message: expect.stringContaining("0.25 s") as string,
    });
    expect(clock.pending).toBe(0);
  });

  it("does not count the time in the queue", async () => {
    const { clock, provider } = limited(250, 1);
    const answers = ["aaaabbbb", "ccccdddd", "eeeeffff"].map((text) => answerOf(provider, chatRequest(text)));
    await clock.pass(2000);
    expect((await Promise.all(answers)).map(textOf)).toEqual(["aaaabbbb", "ccccdddd", "eeeeffff"]);
  });

  it("passes the caller's own reason on", async () => {
    const { provider } = limited(250);
    const controller = new AbortController();
    const answer = answerOf(provider, chatRequest("aaaa"), controller.signal);
    await settle();
    controller.abort(new Error("mine"));
    await expect(answer).rejects.toThrow("mine");
  });

  it("is otherwise the provider itself", async () => {
    const { provider } = limited(250);
    expect([provider.name, provider.remote]).toEqual(["echo", false]);
    expect(provider.describe()).toMatchObject({ model: "echo" });
    expect(await provider.countTokens("aaaa")).toBe(1);
    await provider.close();
    expect(provider.health().state).toBe("down");
  });
});
