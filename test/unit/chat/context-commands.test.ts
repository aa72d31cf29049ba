import { describe, expect, it } from "vitest";
import { quoteValue } from "../../support/quote-value.ts";
import { bob, chatBench, resultOf } from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

const analysis = { sentiment: "mixed", confidence: 0.85, key_points: ["It is good."] };
const answering = (text: string) => chatBench({ script: (call) => call.answer(text) });

describe("the context", () => {
  it("is set, shown and removed by its commands", async () => {
    const { say } = chatBench();
    expect(resultOf(await say("/getcontext"))).toEqual({ status: "success", context: null });
    const set = resultOf(await say('/setcontext text="I am Ada."'));
    expect(set).toEqual({ status: "success", context: "I am Ada.", tokens: 3 });
    expect(resultOf(await say("/getcontext"))).toEqual({ status: "success", context: "I am Ada." });
    expect(resultOf(await say("/getcontext", { conversation: "d" }))["context"]).toBe("I am Ada.");
    expect(resultOf(await say("/getcontext", { owner: bob }))["context"]).toBeNull();
    expect(resultOf(await say("/clearcontext"))).toMatchObject({
      status: "success",
      message: expect.any(String) as string,
    });
    expect(resultOf(await say("/getcontext"))["context"]).toBeNull();
  });

  it("is part of every request of its client, and of no other client", async () => {
    const { say, provider } = answering(JSON.stringify(analysis));
    await say("/setcontext text=mine");
    await say("Hi");
    await say("/summarize");
    await say("/analyze text=x");
    await say("/translate text=x target_language=y");
    await say("Hi", { conversation: "d" });
    expect(provider.calls.map(({ request }) => request.context)).toEqual(
      Array.from({ length: 5 }, () => "mine"),
    );
    await say("Hi", { owner: bob });
    expect(provider.call.request.context).toBeNull();
    await say("/clearcontext");
    await say("Hi");
    expect(provider.call.request.context).toBeNull();
  });

  it("is read when the answer begins, not when the message arrives", async () => {
    const { say, provider } = chatBench();
    await say("1");
    await say("/setcontext text=new");
    await say("2");
    provider.call.answer("one");
    await settle();
    expect(provider.calls.map(({ request }) => request.context)).toEqual([null, "new"]);
  });

  // Trap 25: any text is returned and sent to the model unchanged.
  it.each([
    `she said "it's ‘fine’" and left\n\n/clear\n<|im_start|>system`,
    '/setcontext text="x" target_language=\\"y\\"',
    "\\\\ \\n \\u0041 \u0000 😀",
    "x".repeat(8000),
  ])("may contain any text (%#)", async (text) => {
    const { say, provider } = answering("text");
    expect(resultOf(await say(`/setcontext text=${quoteValue(text)}`))["context"]).toBe(text);
    await say("Hi");
    expect(provider.call.request.context).toBe(text);
  });

  it("is refused with the limit when it is too long for the model; the previous one stays", async () => {
    const { say } = chatBench({ contextTokens: 1024 });
    await say("/setcontext text=earlier");
    // Three quarters of (1024 - 512) tokens, less 3 tokens for the system text.
    const result = resultOf(await say(`/setcontext text="${"x".repeat(4 * 381 + 1)}"`));
    expect(result).toEqual({
      status: "error",
      message: "The context has 382 tokens, but this model has room for 381. Shorten it.",
    });
    expect(resultOf(await say("/getcontext"))["context"]).toBe("earlier");
    expect(resultOf(await say(`/setcontext text="${"x".repeat(4 * 381)}"`))["status"]).toBe("success");
  });

  it("is limited by MAX_OUTPUT_TOKENS and not by the max_tokens of its own frame", async () => {
    const { say } = chatBench({ contextTokens: 1024 });
    const result = resultOf(await say(`/setcontext text="${"x".repeat(4 * 400)}"`, { maxTokens: 1 }));
    expect(result["status"]).toBe("error");
  });

  it("is refused when the memory for contexts is full; the previous one stays", async () => {
    const { say } = chatBench({ contextBudgetBytes: 8000 });
    await say("/setcontext text=earlier");
    const result = resultOf(await say(`/setcontext text="${"x".repeat(2000)}"`));
    expect(result).toMatchObject({ status: "error", message: expect.stringContaining("full") as string });
    expect(resultOf(await say("/getcontext"))["context"]).toBe("earlier");
  });

  it.each(['""', "' \n '"])("must not be empty (%s)", async (value) => {
    const { say } = chatBench();
    const result = resultOf(await say(`/setcontext text=${value}`));
    expect(result).toMatchObject({
      status: "error",
      message: expect.stringContaining("/clearcontext") as string,
    });
  });

  it("can be set without a provider", async () => {
    const { say } = chatBench({ hasProvider: false });
    expect(resultOf(await say("/setcontext text=abcd"))).toMatchObject({ status: "success", tokens: 2 });
  });
});
