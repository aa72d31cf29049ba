import { describe, expect, it } from "vitest";
import { NO_PROVIDER_TEXT } from "../../../src/core/errors.ts";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import {
  ada,
  bob,
  chatBench,
  outcomeOf,
  resultOf,
  type ChatBench,
  expectBalanced,
} from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

function contentsOf(bench: ChatBench, call: number): string[] {
  return (bench.provider.calls[call]?.request.turns ?? []).map(({ content }) => content);
}

describe("ChatService within a conversation", () => {
  it("answers messages one at a time in order, each with the history up to then", async () => {
    const bench = chatBench();
    const { provider, say, metrics } = bench;
    const handles = [await say("1"), await say("2"), await say("3")];
    expect(provider.calls).toHaveLength(1);
    expect(metrics.read("answers_running")).toBe(3);
    expect(metrics.read("messages_pending")).toBe(2);
    expect(handles[2]?.reader.status).toEqual({ type: "queued", reason: "conversation", position: 2 });
    provider.call.answer("one");
    await settle();
    expect(handles[2]?.reader.status).toEqual({ type: "queued", reason: "conversation", position: 1 });
    expect(contentsOf(bench, 1)).toEqual(["1", "one", "2"]);
    provider.call.answer("two");
    await settle();
    provider.call.answer("three");
    await settle();
    expect(contentsOf(bench, 2)).toEqual(["1", "one", "2", "two", "3"]);
    expect(handles.map((handle) => handle.reader.read(0))).toEqual(["one", "two", "three"]);
    expectBalanced(bench);
  });

  it("queues commands behind earlier messages", async () => {
    const bench = chatBench();
    const { provider, say } = bench;
    await say("1");
    const [help, context, clear] = [await say("/help"), await say("/getcontext"), await say("/clear")];
    expect([help, context, clear].map(({ reader }) => reader.outcome)).toEqual([null, null, null]);
    provider.call.answer("one");
    await settle();
    for (const handle of [help, context, clear]) expect(resultOf(handle)["status"]).toBe("success");
    expect(await bench.store.turns(ada.client, "c")).toEqual([]);
  });

  it("runs answers of other conversations and other clients in parallel", async () => {
    const { provider, say } = chatBench();
    await say("1");
    await say("2", { conversation: "d" });
    await say("3", { owner: bob });
    expect(provider.calls).toHaveLength(3);
  });

  it("refuses messages over the limits of a conversation and of a client as busy, with a retry delay", async () => {
    const bench = chatBench();
    const { provider, say, submit } = bench;
    for (const text of ["run", "1", "2", "3"]) await say(text);
    const busy = { code: "busy", retryable: true, retryAfterMs: expect.any(Number) as number };
    await expect(submit("4")).rejects.toMatchObject(busy);
    await expect(submit("/help")).rejects.toMatchObject(busy);
    await say("run", { conversation: "d" });
    await expect(submit("run", { conversation: "e" })).rejects.toMatchObject(busy);
    await say("run", { owner: bob });
    provider.calls[0]?.answer("one");
    await settle();
    await say("4");
    bench.chat.stopAll();
    await settle();
    expectBalanced(bench);
  });

  it("continues with the next message after an answer failed", async () => {
    const bench = chatBench();
    const { provider, say } = bench;
    const first = await say("1");
    const second = await say("2");
    provider.call.fail(new Error("with a secret"));
    await settle();
    expect(outcomeOf(first)).toMatchObject({ type: "error", error: { code: "internal" } });
    expect(JSON.stringify(outcomeOf(first))).not.toContain("secret");
    expect(bench.faults).toEqual(["answer failed unexpectedly"]);
    provider.call.answer("two");
    await settle();
    expect(second.reader.read(0)).toBe("two");
    expect(contentsOf(bench, 1)).toEqual(["2"]);
    expectBalanced(bench);
  });

  it("refuses new messages as overloaded while the memory for answers is full", async () => {
    const { submit, say, provider } = chatBench({ answerBudgetBytes: 3000 });
    await say("1");
    await say("2", { conversation: "d" });
    await expect(submit("3", { owner: bob })).rejects.toMatchObject({ code: "overloaded" });
    provider.calls[0]?.answer("one");
    await settle();
    await say("3", { owner: bob });
  });
});

describe("the history of a conversation", () => {
  const turns = (bench: ChatBench) => bench.store.turns(ada.client, "c");

  it.each(["stop", "length"] as const)(
    "contains both turns of an answer that ended with %s",
    async (reason) => {
      const bench = chatBench();
      await bench.say("  //keep  ");
      bench.provider.call.start().say("a", "b").finish(reason);
      await settle();
      expect(await turns(bench)).toEqual([
        { role: "user", content: "/keep  " },
        { role: "assistant", content: "ab" },
      ]);
    },
  );

  it("contains both turns of an answer that was cancelled or abandoned in mid-text", async () => {
    const bench = chatBench();
    await bench.say("1");
    bench.provider.call.start().say("so far");
    await settle();
    bench.chat.stopAll();
    await settle();
    await bench.submit("2");
    await settle();
    bench.provider.call.start().say("and so");
    await bench.clock.pass(15_000);
    expect((await turns(bench)).map(({ content }) => content)).toEqual(["1", "so far", "2", "and so"]);
  });

  it("contains both turns of an answer that ended without text, which later prompts leave out", async () => {
    const bench = chatBench();
    const { provider, say } = bench;
    await say("empty");
    provider.call.answer();
    await settle();
    expect(await turns(bench)).toEqual([
      { role: "user", content: "empty" },
      { role: "assistant", content: "" },
    ]);
    await say("again");
    expect(provider.call.request.turns).toEqual([{ role: "user", content: "empty\n\nagain" }]);
    provider.call.answer("text");
    await settle();
    expect(await turns(bench)).toHaveLength(4);
    expectBalanced(bench);
  });

  it("contains neither turn of an answer that failed, or was stopped before its first text", async () => {
    const bench = chatBench();
    const { provider, say, chat } = bench;
    await say("fails");
    provider.call
      .start()
      .say("half")
      .fail(new ProviderError("local", "engine_crashed", "It crashed."));
    await settle();
    await say("cancelled");
    provider.call.start();
    chat.stopAll();
    await settle();
    expect(await turns(bench)).toEqual([]);
    expectBalanced(bench);
  });

  it("never contains commands", async () => {
    const bench = chatBench({ script: (call) => call.answer("text") });
    await bench.say("/help");
    await bench.say("/translate text=a target_language=b");
    expect(await turns(bench)).toEqual([]);
  });
});

describe("an answer of ChatService", () => {
  it("reports its position in the engine's queue, then prompt progress, then no status", async () => {
    const { provider, say } = chatBench();
    const { reader } = await say("Hi");
    provider.call.queued(3, 900);
    await settle();
    expect(reader.status).toEqual({ type: "queued", reason: "engine", position: 3, etaMs: 900 });
    provider.call.progress(10, 20);
    await settle();
    expect(reader.status).toEqual({ type: "progress", processed: 10, total: 20 });
    provider.call.start();
    await settle();
    expect(reader.status).toBeNull();
  });

  it("reports usage, and times since the arrival of the message", async () => {
    const bench = chatBench();
    const { provider, say, clock, metrics } = bench;
    await say("first");
    const handle = await say("second");
    await clock.pass(1000);
    provider.call.answer("one");
    await settle();
    provider.call.queued(1);
    await clock.pass(500);
    provider.call.start();
    await clock.pass(250);
    provider.call.say("a");
    await clock.pass(100);
    provider.call.say("b").finish("stop", { promptTokens: 9, completionTokens: 2, cachedTokens: 5 });
    await settle();
    expect(outcomeOf(handle)).toEqual({
      type: "message",
      finishReason: "stop",
      usage: { promptTokens: 9, completionTokens: 2, cachedTokens: 5 },
      context: { tokens: 11, limit: 4096 },
      provider: "local",
      model: "scripted",
      timings: { queueMs: 1500, firstTokenMs: 1750, totalMs: 1850 },
    });
    expect(metrics.finished).toEqual(["local stop", "local stop"]);
    expect(Object.fromEntries(metrics.tokenCounts)).toEqual({ prompt: 16, completion: 3, cached: 5 });
    expectBalanced(bench);
  });

  it("sends the parameters of the message to the provider, and the settings as defaults", async () => {
    const { provider, say } = chatBench();
    await say("1", { maxTokens: 5, sampling: { temperature: 0, seed: 7 } });
    expect(provider.call.request).toMatchObject({
      system: "Be helpful.",
      context: null,
      maxTokens: 5,
      sampling: { temperature: 0, seed: 7 },
      principal: ada,
      turns: [{ role: "user", content: "1" }],
    });
    expect(provider.call.request.jsonSchema).toBeUndefined();
    await say("2", { owner: bob });
    expect(provider.call.request.maxTokens).toBe(512);
    expect(provider.calls[0]?.request.conversation).not.toBe(provider.call.request.conversation);
  });

  it("ends with `length` at the maximum size of an answer and stops the provider", async () => {
    const bench = chatBench({ maxAnswerBytes: 2000 });
    const handle = await bench.say("Hi");
    bench.provider.call.start().say("x".repeat(1500), "é".repeat(400), "y");
    await settle();
    expect(outcomeOf(handle)).toMatchObject({ type: "message", finishReason: "length" });
    expect(handle.reader.read(0)).toBe("x".repeat(1500));
    expect(bench.provider.call.stopped).toBe(true);
    expect((await bench.store.turns(ada.client, "c"))[1]?.content).toBe("x".repeat(1500));
    expectBalanced(bench);
  });

  it("ends with an error when the provider breaks off", async () => {
    const bench = chatBench();
    const handle = await bench.say("Hi");
    bench.provider.call
      .start()
      .say("half")
      .fail(new ProviderError("local", "bad_answer", "It broke off."));
    await settle();
    expect(outcomeOf(handle)).toMatchObject({
      type: "error",
      error: { code: "bad_answer", retryable: true },
    });
    expect(bench.metrics.finished).toEqual(["local error"]);
    expectBalanced(bench);
  });

  it("is refused when there is no provider; commands without a model still work", async () => {
    const { submit, say } = chatBench({ hasProvider: false });
    await expect(submit("Hi")).rejects.toMatchObject({ code: "no_provider", message: NO_PROVIDER_TEXT });
    expect(resultOf(await say("/help"))["status"]).toBe("success");
    expect(outcomeOf(await say("/translate text=a target_language=b"))).toMatchObject({
      type: "error",
      error: { code: "no_provider" },
    });
  });
});
