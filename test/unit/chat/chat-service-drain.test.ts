import { describe, expect, it } from "vitest";
import { bob, chatBench, expectBalanced, outcomeOf } from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

describe("ChatService at shutdown", () => {
  it("refuses new messages after stopAccepting and finishes the accepted ones", async () => {
    const bench = chatBench();
    const { chat, say, submit, provider } = bench;
    const running = await say("1", { id: "i", hash: "h" });
    const waiting = await say("2");
    chat.stopAccepting();
    await expect(submit("3")).rejects.toMatchObject({ code: "draining", retryable: true });
    await expect(submit("/help", { id: "x", hash: "x" })).rejects.toMatchObject({ code: "draining" });
    // A repeated message is not a new one.
    expect((await submit("1", { id: "i", hash: "h" })).reader).toBe(running.reader);
    let idle = false;
    const whenIdle = chat.whenIdle().then(() => (idle = true));
    provider.call.answer("one");
    await settle();
    expect(idle).toBe(false);
    provider.call.answer("two");
    await settle();
    expect(outcomeOf(waiting)).toMatchObject({ finishReason: "stop" });
    await whenIdle;
    expect(idle).toBe(true);
    expectBalanced(bench);
  });

  it("is idle at once when no answer runs", async () => {
    await expect(chatBench().chat.whenIdle()).resolves.toBeUndefined();
  });

  it("ends all answers as cancelled on stopAll, in any phase", async () => {
    const bench = chatBench();
    const handles = [await bench.say("runs"), await bench.say("waits", { id: "w", hash: "w" })];
    handles.push(await bench.say("/help"), await bench.say("queued", { conversation: "d" }));
    handles.push(await bench.say("other", { owner: bob }));
    bench.provider.calls[0]?.start().say("text");
    bench.provider.calls[1]?.queued(1);
    await settle();
    bench.chat.stopAll();
    bench.chat.stopAll();
    await bench.chat.whenIdle();
    for (const handle of handles) expect(outcomeOf(handle)).toMatchObject({ finishReason: "cancelled" });
    expect(bench.provider.calls.every(({ stopped }) => stopped)).toBe(true);
    expect(bench.clock.pending).toBeLessThanOrEqual(2);
    expectBalanced(bench);
  });
});
