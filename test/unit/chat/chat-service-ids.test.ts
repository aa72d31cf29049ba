import { describe, expect, it } from "vitest";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import { ada, bob, chatBench, outcomeOf } from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

const sameFrame = { id: "mine", hash: "h" };

describe("ChatService with message ids", () => {
  it("joins a repeated message to the running answer, with one generation", async () => {
    const { provider, say } = chatBench();
    const first = await say("Hi", sameFrame);
    const second = await say("Hi", sameFrame);
    expect(second.reader).toBe(first.reader);
    expect(provider.calls).toHaveLength(1);
    provider.call.answer("Hello");
    await settle();
    expect(second.reader.read(0)).toBe("Hello");
    expect(second.reader.meta.id).toBe("mine");
  });

  it("generates one answer for 100 simultaneous copies of a message", async () => {
    const { provider, submit } = chatBench();
    const handles = await Promise.all(Array.from({ length: 100 }, () => submit("Hi", sameFrame)));
    for (const handle of handles) handle.watch();
    await settle();
    expect(new Set(handles.map(({ reader }) => reader.meta.answer)).size).toBe(1);
    expect(provider.calls).toHaveLength(1);
  });

  it("joins a repeated message to a finished answer while that is retained; watching does not prolong the retention", async () => {
    const { provider, say, clock } = chatBench();
    const first = await say("Hi", sameFrame);
    provider.call.answer("Hello");
    await clock.pass(60_000);
    const again = await say("Hi", sameFrame);
    expect(again.reader.meta.answer).toBe(first.reader.meta.answer);
    expect(again.reader.read(0)).toBe("Hello");
    const watcher = again.watch();
    watcher.setStalled(true);
    watcher.leave();
    await clock.pass(59_999);
    expect((await say("Hi", sameFrame)).reader.meta.answer).toBe(first.reader.meta.answer);
    await clock.pass(2000);
    expect((await say("Hi", sameFrame)).reader.meta.answer).not.toBe(first.reader.meta.answer);
    expect(provider.calls).toHaveLength(2);
  });

  it("refuses different content under the same id, during the answer and after it", async () => {
    const { provider, say, submit } = chatBench();
    await say("Hi", sameFrame);
    const conflict = { code: "id_conflict", retryable: false };
    await expect(submit("Ho", { id: "mine", hash: "other" })).rejects.toMatchObject(conflict);
    provider.call.answer("Hello");
    await settle();
    await expect(submit("Ho", { id: "mine", hash: "other" })).rejects.toMatchObject(conflict);
    // The refusal does not free the id.
    expect(await say("Hi", sameFrame)).toBeDefined();
    expect(provider.calls).toHaveLength(1);
  });

  it("treats the same id in another conversation or of another client as a different message", async () => {
    const { provider, say } = chatBench();
    await say("Hi", sameFrame);
    await say("Hi", { ...sameFrame, conversation: "d" });
    await say("Hi", { ...sameFrame, owner: bob });
    expect(provider.calls).toHaveLength(3);
  });

  it("frees the id after an error", async () => {
    const { provider, say } = chatBench();
    const first = await say("Hi", sameFrame);
    provider.call.fail(new ProviderError("local", "engine_crashed", "It crashed."));
    await settle();
    expect(outcomeOf(first)).toMatchObject({ type: "error", error: { code: "engine_crashed" } });
    await say("Ho", { id: "mine", hash: "other" });
    expect(provider.calls).toHaveLength(2);
  });

  it("frees the id after the answer was cancelled or abandoned", async () => {
    const { provider, say, chat, clock, submit } = chatBench();
    await say("Hi", sameFrame);
    provider.call.start().say("text");
    await settle();
    expect(chat.cancel(ada.client, { id: "mine", conversation: "c" })).toBe(true);
    await settle();
    const second = await submit("Hi", sameFrame);
    await clock.pass(15_000);
    expect(outcomeOf(second)).toMatchObject({ finishReason: "abandoned" });
    await say("Hi", sameFrame);
    expect(provider.calls).toHaveLength(3);
  });

  it("keeps the id after a command with an error result, and frees it after a cancelled command", async () => {
    const { chat, provider, say } = chatBench();
    const first = await say("/summarize", sameFrame);
    expect(outcomeOf(first)).toMatchObject({ result: { status: "error" } });
    expect((await say("/summarize", sameFrame)).reader.meta.answer).toBe(first.reader.meta.answer);
    const translate = { id: "t", hash: "t" };
    await say("/translate text=a target_language=b", translate);
    chat.cancel(ada.client, { id: "t", conversation: "c" });
    await settle();
    await say("/translate text=a target_language=b", translate);
    expect(provider.calls).toHaveLength(2);
  });

  it("generates a new answer when the text of the earlier one was evicted", async () => {
    const { provider, say } = chatBench({
      answerBudgetBytes: 40_000,
      script: (call) => call.answer("x".repeat(15_000)),
    });
    const first = await say("Hi", sameFrame);
    await say("more");
    await say("and more");
    const again = await say("Hi", sameFrame);
    expect(again.reader.meta.answer).not.toBe(first.reader.meta.answer);
    // The id was free and now belongs to the new answer.
    expect(provider.calls).toHaveLength(4);
    expect((await say("Hi", sameFrame)).reader.meta.answer).toBe(again.reader.meta.answer);
  });

  it("does not claim the id of a refused message", async () => {
    const { provider, submit, say } = chatBench({ settings: { maxPendingMessages: 1 } });
    await say("1");
    await say("2");
    await expect(submit("3", sameFrame)).rejects.toMatchObject({ code: "busy" });
    provider.call.answer("one");
    await settle();
    await say("4", { id: "mine", hash: "other" });
    await expect(submit("/hlep", { id: "command", hash: "a" })).rejects.toMatchObject({
      code: "unknown_command",
    });
    await expect(submit("/helpp", { id: "command", hash: "b" })).rejects.toMatchObject({
      code: "unknown_command",
    });
  });

  it("refuses each of several simultaneous copies of a message", async () => {
    const { submit } = chatBench({ hasProvider: false });
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => submit("Hi", sameFrame)));
    for (const result of results) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "no_provider" } });
    }
  });

  it("assigns an id to a message without one, and never joins such messages", async () => {
    const { provider, say } = chatBench();
    const [first, second] = [await say("Hi", { conversation: "a" }), await say("Hi", { conversation: "b" })];
    expect(first.reader.meta.id).toBe(first.reader.meta.answer);
    expect(second.reader.meta.id).not.toBe(first.reader.meta.id);
    expect(provider.calls).toHaveLength(2);
  });
});
