import { describe, expect, it } from "vitest";
import { ada, bob, chatBench, outcomeOf, resultOf, expectBalanced } from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

const ABANDON_MS = 15_000;

describe("ChatService.cancel", () => {
  it("keeps the text so far of a running answer and stops the provider", async () => {
    const bench = chatBench();
    const handle = await bench.say("Hi");
    bench.provider.call.start().say("so ", "far");
    await settle();
    const { answer } = handle.reader.meta;
    expect(bench.chat.cancel(ada.client, { answer })).toBe(true);
    await settle();
    expect(outcomeOf(handle)).toMatchObject({
      type: "message",
      finishReason: "cancelled",
      usage: { promptTokens: 7, completionTokens: 2, cachedTokens: 0 },
      provider: "local",
      model: "scripted",
    });
    expect(handle.reader.read(0)).toBe("so far");
    expect(bench.provider.call.stopped).toBe(true);
    expect(bench.chat.cancel(ada.client, { answer })).toBe(false);
    expect(bench.metrics.finished).toEqual(["local cancelled"]);
    expectBalanced(bench);
  });

  it("ends an answer that waits for the engine, without text", async () => {
    const bench = chatBench();
    const handle = await bench.say("Hi", { id: "i", hash: "h" });
    bench.provider.call.queued(4);
    await settle();
    expect(bench.chat.cancel(ada.client, { id: "i", conversation: "c" })).toBe(true);
    await settle();
    expect(outcomeOf(handle)).toMatchObject({
      finishReason: "cancelled",
      timings: { firstTokenMs: null },
    });
    expect(handle.reader.length).toBe(0);
    expectBalanced(bench);
  });

  it("ends an answer that waits in its conversation at once, and moves the later ones up", async () => {
    const bench = chatBench();
    await bench.say("1");
    const second = await bench.say("2");
    const third = await bench.say("3");
    bench.chat.cancel(ada.client, { answer: second.reader.meta.answer });
    expect(third.reader.status).toMatchObject({ position: 1 });
    await settle();
    expect(outcomeOf(second)).toMatchObject({
      finishReason: "cancelled",
      provider: "local",
      model: "scripted",
    });
    bench.provider.call.answer("one");
    await settle();
    expect(bench.provider.call.request.turns.at(-1)?.content).toBe("3");
    bench.chat.stopAll();
    await settle();
    expectBalanced(bench);
  });

  it("stops an answer right after its submission", async () => {
    const bench = chatBench();
    const handle = await bench.submit("Hi");
    expect(bench.chat.cancel(ada.client, { answer: handle.reader.meta.answer })).toBe(true);
    await settle();
    expect(outcomeOf(handle)).toMatchObject({ finishReason: "cancelled" });
    expectBalanced(bench);
  });

  it("ends a command with the error result `cancelled`, even if it already has text", async () => {
    const bench = chatBench();
    const running = await bench.say("/translate text=a target_language=b");
    const waiting = await bench.say("/help");
    bench.provider.call.start().say("half a");
    await settle();
    for (const handle of [running, waiting]) {
      bench.chat.cancel(ada.client, { answer: handle.reader.meta.answer });
    }
    await settle();
    for (const [handle, command] of [
      [running, "translate"],
      [waiting, "help"],
    ] as const) {
      expect(outcomeOf(handle)).toEqual({
        type: "command",
        command,
        result: { status: "error", message: "cancelled" },
        finishReason: "cancelled",
      });
    }
    expectBalanced(bench);
  });

  it("only finds running answers of the same client and conversation", async () => {
    const bench = chatBench();
    const handle = await bench.say("Hi", { id: "i", hash: "h" });
    const { answer } = handle.reader.meta;
    expect(bench.chat.cancel(bob.client, { answer })).toBe(false);
    expect(bench.chat.cancel(bob.client, { id: "i", conversation: "c" })).toBe(false);
    expect(bench.chat.cancel(ada.client, { id: "i", conversation: "d" })).toBe(false);
    expect(bench.chat.cancel(ada.client, { id: "j", conversation: "c" })).toBe(false);
    expect(bench.chat.cancel(ada.client, { answer: "i" })).toBe(false);
    bench.provider.call.answer("text");
    await settle();
    expect(bench.chat.cancel(ada.client, { answer })).toBe(false);
    expect(outcomeOf(handle)).toMatchObject({ finishReason: "stop" });
  });
});

describe("an answer without a watcher", () => {
  it("is abandoned in mid-text and keeps the text so far", async () => {
    const bench = chatBench();
    const handle = await bench.submit("Hi");
    const watcher = handle.watch();
    await settle();
    bench.provider.call.start().say("so far");
    await bench.clock.pass(10 * ABANDON_MS);
    watcher.leave();
    await bench.clock.pass(ABANDON_MS - 1);
    expect(handle.reader.outcome).toBeNull();
    await bench.clock.pass(1);
    expect(outcomeOf(handle)).toMatchObject({ finishReason: "abandoned" });
    expect(bench.provider.call.stopped).toBe(true);
    expect((await bench.store.turns(ada.client, "c"))[1]?.content).toBe("so far");
    expectBalanced(bench);
  });

  it("is abandoned while it waits for the engine", async () => {
    const bench = chatBench();
    const handle = await bench.submit("Hi");
    await settle();
    bench.provider.call.queued(1);
    await bench.clock.pass(ABANDON_MS);
    expect(outcomeOf(handle)).toMatchObject({ finishReason: "abandoned" });
    expectBalanced(bench);
  });

  it("is abandoned while it waits in its conversation; the answer before it continues", async () => {
    const bench = chatBench();
    const running = await bench.say("1");
    const waiting = await bench.submit("2");
    await bench.clock.pass(ABANDON_MS);
    expect(outcomeOf(waiting)).toMatchObject({ finishReason: "abandoned" });
    bench.provider.call.answer("one");
    await settle();
    expect(outcomeOf(running)).toMatchObject({ finishReason: "stop" });
    expect(bench.provider.calls).toHaveLength(1);
    expectBalanced(bench);
  });

  it("is abandoned together with the unwatched answers behind it, but not with watched ones", async () => {
    const bench = chatBench();
    const leaving = await bench.submit("1");
    await bench.clock.pass(5000);
    const [unwatched, watched, command] = [
      await bench.submit("2"),
      await bench.say("3"),
      await bench.submit("/help"),
    ];
    await bench.clock.pass(ABANDON_MS - 5000);
    for (const handle of [leaving, unwatched]) {
      expect(outcomeOf(handle)).toMatchObject({ type: "message", finishReason: "abandoned" });
    }
    expect(resultOf(command)).toEqual({ status: "error", message: "abandoned" });
    bench.provider.call.answer("three");
    await settle();
    expect(outcomeOf(watched)).toMatchObject({ finishReason: "stop" });
    expect(bench.provider.calls).toHaveLength(2);
    expectBalanced(bench);
  });

  it("is abandoned without the answer before it, which has a timer of its own", async () => {
    const bench = chatBench();
    await bench.say("runs");
    const before = await bench.submit("before");
    const watcher = before.watch();
    const after = await bench.submit("after");
    await bench.clock.pass(ABANDON_MS - 1000);
    watcher.leave();
    await bench.clock.pass(1000);
    expect(outcomeOf(after)).toMatchObject({ finishReason: "abandoned" });
    expect(before.reader.outcome).toBeNull();
    await bench.clock.pass(ABANDON_MS - 1001);
    expect(before.reader.outcome).toBeNull();
    await bench.clock.pass(1);
    expect(outcomeOf(before)).toMatchObject({ finishReason: "abandoned" });
    bench.chat.stopAll();
    await settle();
    expectBalanced(bench);
  });

  it("continues when its client repeats the message in time", async () => {
    const bench = chatBench();
    const frame = { id: "i", hash: "h" };
    (await bench.submit("Hi", frame)).watch().leave();
    await bench.clock.pass(ABANDON_MS - 1);
    const again = await bench.say("Hi", frame);
    await bench.clock.pass(10 * ABANDON_MS);
    bench.provider.call.answer("text");
    await settle();
    expect(outcomeOf(again)).toMatchObject({ finishReason: "stop" });
  });

  it("leaves no timer behind when it ends normally", async () => {
    const bench = chatBench();
    await bench.submit("Hi");
    await settle();
    bench.provider.call.answer("text");
    await settle();
    const sweepers = bench.clock.pending;
    await bench.clock.pass(ABANDON_MS);
    expect(bench.metrics.finished).toEqual(["local stop"]);
    expect(bench.clock.pending).toBeLessThanOrEqual(sweepers);
  });
});
