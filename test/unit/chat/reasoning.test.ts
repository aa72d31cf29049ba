import { describe, expect, it } from "vitest";
import { ada, chatBench, outcomeOf, resultOf, type ChatBench } from "../../support/chat-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

/** Answers a message or command with reasoning and text. */
async function answer(bench: ChatBench, message: string, text: string) {
  const handle = await bench.say(message);
  bench.provider.call.start().reason("Secret", " thoughts").say(text).finish();
  await settle();
  return handle;
}

describe("reasoning of a model", () => {
  it("is no part of the answer and of the history, and counts in the usage", async () => {
    const bench = chatBench();
    const handle = await answer(bench, "Hi", "Hello");
    expect(handle.reader.read(0)).toBe("Hello");
    expect(outcomeOf(handle)).toMatchObject({ usage: { completionTokens: 3, reasoningTokens: 2 } });
    expect(await bench.store.turns(ada.client, "c")).toEqual([
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello" },
    ]);
    expect(Object.fromEntries(bench.metrics.tokenCounts)).toMatchObject({ completion: 3, reasoning: 2 });
  });

  it.each([
    ["/summarize", "summary"],
    ['/translate text="a" target_language="b"', "translation"],
  ])("is no part of the result of %s", async (command, field) => {
    const bench = chatBench();
    await answer(bench, "Hi", "Hello");
    const handle = await answer(bench, command, "Result");
    expect(resultOf(handle)[field]).toBe("Result");
    expect(JSON.stringify(resultOf(handle))).not.toContain("Secret");
    expect(JSON.stringify(bench.provider.call.request)).not.toContain("Secret");
  });

  it.each(["/summarize", '/translate text="a" target_language="b"'])(
    "alone is an error of %s, and its tokens count",
    async (command) => {
      const bench = chatBench();
      await answer(bench, "Hi", "Hello");
      for (const [reason, message] of [
        ["length", /before it wrote anything.*max_tokens/],
        ["stop", /without writing anything/],
      ] as const) {
        const handle = await bench.say(command);
        bench.provider.call.start().reason("Secret").say(" ").finish(reason);
        await settle();
        expect(resultOf(handle)).toEqual({
          status: "error",
          message: expect.stringMatching(message) as string,
        });
        expect(outcomeOf(handle)).toMatchObject({ finishReason: reason, usage: { completionTokens: 2 } });
      }
    },
  );

  it("is no part of the JSON of /analyze", async () => {
    const bench = chatBench();
    const handle = await answer(
      bench,
      '/analyze text="a"',
      '{"sentiment":"neutral","confidence":1,"key_points":["a"]}',
    );
    expect(resultOf(handle)).toMatchObject({ status: "success", sentiment: "neutral" });
  });

  it("alone is an empty answer, and its tokens count", async () => {
    const bench = chatBench();
    const handle = await bench.say("Hi");
    bench.provider.call.start().reason("Secret").finish("length");
    await settle();
    expect(handle.reader.read(0)).toBe("");
    expect(outcomeOf(handle)).toMatchObject({ finishReason: "length", usage: { reasoningTokens: 1 } });
    expect(JSON.stringify(await bench.store.turns(ada.client, "c"))).not.toContain("Secret");
  });
});
