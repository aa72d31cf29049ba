import { describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/core/clock.ts";
import { createEchoProvider, type EchoOptions } from "../../../../src/providers/echo/echo-provider.ts";
import { answerOf, chatRequest, textOf } from "../../../support/chat-request.ts";
import { VirtualClock, settle } from "../../../support/virtual-clock.ts";
import { partsOf, type SeenPart } from "../../../support/parts-of.ts";

function echo(options: Partial<EchoOptions> = {}, clock: VirtualClock = new VirtualClock()) {
  return createEchoProvider({ tokenMs: 0, slots: 0, answerBytes: 0, ...options }, clock);
}

/** Starts an answer and collects its parts. */
function watch(provider: ReturnType<typeof echo>, message: string, signal = new AbortController().signal) {
  const parts: SeenPart[] = [];
  const end = (async () => {
    for await (const part of partsOf(provider, chatRequest(message), { signal })) parts.push(part);
  })();
  return { parts, end, types: () => parts.map(({ type }) => type) };
}

describe("the echo provider", () => {
  it("answers at once in one part, without a timer", async () => {
    const clock = new VirtualClock();
    const parts = await answerOf(echo({}, clock), chatRequest("Hello there"));
    expect(parts).toEqual([
      {
        type: "started",
        provider: "echo",
        model: "echo",
        droppedTurns: 0,
        contextTokens: 1_000_000,
        promptTokens: 10,
      },
      { type: "text-delta", text: "Hello there", tokens: 3 },
      {
        type: "finish",
        reason: "stop",
        usage: { promptTokens: 10, completionTokens: 3, cachedTokens: 0 },
      },
    ]);
    expect(clock.pending).toBe(0);
  });

  it("refuses requests over its slots and queue immediately, with a time to retry", async () => {
    const provider = echo({ tokenMs: 50, slots: 1, queueLimit: 2 });
    const stop = new AbortController();
    const taken = [1, 2, 3].map((name) => watch(provider, `message ${name}`, stop.signal));
    await expect(watch(provider, "one too many").end).rejects.toMatchObject({
      code: "overloaded",
      retryable: true,
      retryAfterMs: 1000,
    });
    stop.abort(new Error("enough"));
    for (const { end } of taken) await expect(end).rejects.toThrow("enough");
  });

  it("answers an empty message with an empty answer", async () => {
    const parts = await answerOf(echo(), chatRequest(""));
    expect(parts.map(({ type }) => type)).toEqual(["started", "finish"]);
  });

  it("sends long answers in few parts", async () => {
    const parts = await answerOf(
      echo({ answerBytes: 100_000 }),
      chatRequest("abcdefg", { maxTokens: 1_000_000 }),
    );
    expect(textOf(parts)).toHaveLength(100_000);
    expect(parts.length).toBeLessThan(12);
  });

  it("sends one token every ECHO_TOKEN_MS", async () => {
    const clock = new VirtualClock();
    const answer = watch(echo({ tokenMs: 20 }, clock), "aaaabbbbcc");
    await clock.pass(19);
    expect(answer.types()).toEqual(["started"]);
    await clock.pass(1);
    expect(textOf(answer.parts)).toBe("aaaa");
    await clock.pass(39);
    expect(textOf(answer.parts)).toBe("aaaabbbb");
    await clock.pass(1);
    await answer.end;
    expect(textOf(answer.parts)).toBe("aaaabbbbcc");
    expect(clock.pending).toBe(0);
  });

  it("queues requests while its slots are in use and reports their positions", async () => {
    const clock = new VirtualClock();
    const provider = echo({ tokenMs: 100, slots: 1 }, clock);
    const answers = ["aaaa", "bbbb", "cccc"].map((text) => watch(provider, text));
    await settle();
    expect(answers.map(({ parts }) => parts[0])).toEqual([
      expect.objectContaining({ type: "started" }),
      { type: "queued", position: 1 },
      { type: "queued", position: 2 },
    ]);
    await clock.pass(1000);
    await Promise.all(answers.map(({ end }) => end));
    expect(answers.map(({ parts }) => textOf(parts))).toEqual(["aaaa", "bbbb", "cccc"]);
    for (const { types } of answers)
      expect(types().lastIndexOf("queued")).toBeLessThan(types().indexOf("started"));
  });

  it("refuses with `overloaded` if 4,096 requests are waiting", async () => {
    const provider = echo({ tokenMs: 1000, slots: 1 });
    const controllers = Array.from({ length: 4097 }, () => new AbortController());
    const answers = controllers.map(({ signal }) => watch(provider, "aaaa", signal));
    const ends = Promise.allSettled(answers.map(({ end }) => end));
    await settle();
    const refused = answerOf(provider, chatRequest("one more"));
    await expect(refused).rejects.toMatchObject({ code: "overloaded", retryable: true, retryAfterMs: 1000 });
    for (const controller of controllers) controller.abort(new Error("enough"));
    expect((await ends).every(({ status }) => status === "rejected")).toBe(true);
  });

  it("passes the slot of a cancelled request to the next one", async () => {
    const clock = new VirtualClock();
    const provider = echo({ tokenMs: 100, slots: 1 }, clock);
    const first = new AbortController();
    const second = new AbortController();
    const running = watch(provider, "a".repeat(400), first.signal);
    const waiting = watch(provider, "bbbb", second.signal);
    const last = watch(provider, "cccc");
    await settle();
    second.abort(new Error("second"));
    await expect(waiting.end).rejects.toThrow("second");
    first.abort(new Error("first"));
    await expect(running.end).rejects.toThrow("first");
    await clock.pass(200);
    await last.end;
    expect(textOf(last.parts)).toBe("cccc");
  });

  it("gives equal answers to equal requests and is not remote", async () => {
    const request = chatRequest("Tell me", { context: "c" });
    expect(await answerOf(echo(), request)).toEqual(await answerOf(echo(), request));
    expect(echo().remote).toBe(false);
  });

  it("runs ten thousand answers at the configured pace", { timeout: 60_000 }, async () => {
    const provider = createEchoProvider({ tokenMs: 50, slots: 0, answerBytes: 0 }, systemClock);
    const begin = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 10_000 }, () => answerOf(provider, chatRequest("aaaabbbb"))),
    );
    expect(answers.every((parts) => textOf(parts) === "aaaabbbb")).toBe(true);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(95);
  });
});
