import { describe, expect, it } from "vitest";
import { parseAnalysis } from "../../../src/chat/commands/analyze.ts";
import { commands } from "../../../src/chat/commands/command-table.ts";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import { quoteValue } from "../../support/quote-value.ts";
import { ada, bob, chatBench, outcomeOf, resultOf } from "../../support/chat-bench.ts";

const analysis = { sentiment: "mixed", confidence: 0.85, key_points: ["It is good.", "It is dear."] };
const answering = (text: string) => chatBench({ script: (call) => call.answer(text) });

describe("/help", () => {
  it("lists every command with a usage line that works as it is", async () => {
    const { say } = chatBench();
    const result = resultOf(await say("/HELP"));
    expect(result["status"]).toBe("success");
    const listed = result["commands"] as { name: string; usage: string; description: string }[];
    expect(listed.map(({ name }) => name)).toEqual([
      "/help",
      "/clear",
      "/summarize",
      "/analyze",
      "/translate",
      "/setcontext",
      "/getcontext",
      "/clearcontext",
    ]);
    expect(listed.find(({ name }) => name === "/translate")?.usage).toBe(
      '/translate text="Good morning" target_language="Spanish"',
    );
    for (const { usage, description } of listed) {
      expect(description).toMatch(/\.$/);
      const { say: sayAgain } = answering(JSON.stringify(analysis));
      const outcome = outcomeOf(await sayAgain(usage));
      const empty = usage === "/summarize";
      expect(outcome).toMatchObject({ type: "command", result: { status: empty ? "error" : "success" } });
    }
  });
});

describe("/clear", () => {
  it("clears only this conversation and keeps the context", async () => {
    const { say, store } = answering("text");
    await say("Hi");
    await say("Hi", { conversation: "d" });
    await say("/setcontext text=ctx");
    expect(outcomeOf(await say("/clear"))).toEqual({
      type: "command",
      command: "clear",
      result: { status: "success", message: expect.any(String) as string },
    });
    expect(await store.turns(ada.client, "c")).toEqual([]);
    expect(await store.turns(ada.client, "d")).toHaveLength(2);
    expect(await store.context(ada.client)).toBe("ctx");
  });
});

describe("cached state of the provider", () => {
  it("is dropped when its client clears a conversation or changes the context", async () => {
    const { say, provider } = chatBench({ script: (call) => call.answer("text") });
    await say("Hi");
    const asked = provider.call.request.conversation;
    expect(provider.forgotten).toEqual([]);
    await say("/clear");
    expect(provider.forgotten).toEqual([{ client: "sub:ada", conversation: asked }]);
    await say("/clear", { owner: bob, conversation: "d" });
    await say("Hi", { owner: bob, conversation: "d" });
    const bobs = { client: "sub:bob", conversation: provider.call.request.conversation };
    expect(provider.forgotten.splice(0).at(-1)).toEqual(bobs);
    await say("/setcontext text=x");
    await say("/clearcontext");
    expect(provider.forgotten).toEqual([{ client: "sub:ada" }, { client: "sub:ada" }]);
  });

  it("is not needed: /clear works without a provider", async () => {
    const { say } = chatBench({ hasProvider: false });
    expect(resultOf(await say("/clear"))).toMatchObject({ status: "success" });
  });
});

describe("/summarize", () => {
  it("returns an error for an empty conversation, without asking a model", async () => {
    const { say, provider } = chatBench();
    const result = resultOf(await say("/summarize"));
    expect(result).toEqual({
      status: "error",
      message: expect.stringContaining("nothing to summarize") as string,
    });
    expect(provider.calls).toEqual([]);
  });

  it("appends the instruction to the whole conversation, without becoming part of the history", async () => {
    const { say, provider, store } = answering(" A summary. ");
    await say("Hi");
    const handle = await say("/summarize", { maxTokens: 50 });
    expect(resultOf(handle)).toEqual({ status: "success", summary: "A summary." });
    expect(outcomeOf(handle)).toMatchObject({
      command: "summarize",
      finishReason: "stop",
      usage: { promptTokens: 7, completionTokens: 1, cachedTokens: 0 },
    });
    // The summary is streamed like any answer.
    expect(handle.reader.read(0)).toBe(" A summary. ");
    const { turns, system, maxTokens } = provider.call.request;
    expect(turns.slice(0, 2).map(({ content }) => content)).toEqual(["Hi", " A summary. "]);
    expect(turns.at(-1)).toMatchObject({
      role: "user",
      content: expect.stringMatching(/^Summarize/) as string,
    });
    expect([system, maxTokens]).toEqual(["Be helpful.", 50]);
    expect(await store.turns(ada.client, "c")).toHaveLength(2);
  });
});

describe("/analyze", () => {
  it("requests JSON by a schema and returns the checked fields, without streaming", async () => {
    const { say, provider } = answering(JSON.stringify({ ...analysis, more: 1 }));
    const handle = await say('/analyze text="I love it, but it is dear."');
    expect(resultOf(handle)).toEqual({ status: "success", ...analysis });
    expect(handle.reader.length).toBe(0);
    expect(provider.call.request.turns).toEqual([{ role: "user", content: "I love it, but it is dear." }]);
    expect(provider.call.request.jsonSchema).toMatchObject({
      required: ["sentiment", "confidence", "key_points"],
    });
  });

  it.each([
    ["no JSON", "It is positive."],
    ["truncated JSON", JSON.stringify(analysis).slice(0, -3)],
    ["null", "null"],
    ["a list", "[]"],
    ["an unknown sentiment", JSON.stringify({ ...analysis, sentiment: "great" })],
    ["no sentiment", JSON.stringify({ ...analysis, sentiment: undefined })],
    ["confidence over one", JSON.stringify({ ...analysis, confidence: 1.01 })],
    ["confidence below zero", JSON.stringify({ ...analysis, confidence: -0.1 })],
    ["confidence as a word", JSON.stringify({ ...analysis, confidence: "high" })],
    ["no points", JSON.stringify({ ...analysis, key_points: [] })],
    ["eight points", JSON.stringify({ ...analysis, key_points: Array.from({ length: 8 }, () => "x") })],
    ["points that are not strings", JSON.stringify({ ...analysis, key_points: [1] })],
    ["points as one string", JSON.stringify({ ...analysis, key_points: "x" })],
  ])("rejects a malformed answer of the model: %s", async (_what, text) => {
    const { say } = answering(text);
    expect(outcomeOf(await say("/analyze text=x"))).toMatchObject({
      type: "error",
      error: { code: "bad_answer", retryable: true },
    });
    expect(() => parseAnalysis(text)).toThrow();
  });

  it.each(["positive", "negative", "neutral", "mixed"])(
    "accepts the sentiment %s and confidence from 0 to 1",
    (sentiment) => {
      for (const confidence of [0, 1]) {
        const key_points = Array.from({ length: 7 }, (_, index) => `point ${index}`);
        expect(parseAnalysis(JSON.stringify({ sentiment, confidence, key_points }))).toEqual({
          sentiment,
          confidence,
          key_points,
        });
      }
    },
  );
});

it("/analyze removes repeated key points", () => {
  const text = JSON.stringify({ ...analysis, key_points: ["late", "late", "dear"] });
  expect(parseAnalysis(text).key_points).toEqual(["late", "dear"]);
});

describe("/translate", () => {
  it("returns the translation and the language as given", async () => {
    const { say, provider } = answering(" Buenos días \n");
    const handle = await say(`/translate text="Good 'morning'" target_language=" Spanish "`);
    expect(resultOf(handle)).toEqual({
      status: "success",
      translation: "Buenos días",
      target_language: "Spanish",
    });
    expect(provider.call.request.turns).toEqual([
      { role: "user", content: "Translate into Spanish:\n\nGood 'morning'" },
    ]);
  });

  it.each(["", "   ", "x".repeat(65)])("refuses %j as a language", async (language) => {
    const { say, provider } = answering("text");
    const handle = await say(`/translate text="a" target_language=${quoteValue(language)}`);
    expect(resultOf(handle)).toMatchObject({
      status: "error",
      message: expect.stringContaining("64") as string,
    });
    expect(provider.calls).toEqual([]);
  });
});

describe("a command", () => {
  it.each([
    ["/analyze", "Missing argument: text. Usage: /analyze text="],
    ["/translate text=x", "Missing argument: target_language. Usage: /translate text="],
    ["/translate", "Missing argument: text, target_language."],
    ["/help me=1", "Unknown argument: me. Usage: /help"],
    ["/clear all=1 now=2", "Unknown argument: all, now. Usage: /clear"],
    ["/analyze text=x __proto__=y", "Unknown argument: __proto__."],
    [
      '/analyze text="x',
      "Cannot read the arguments: the value of text has no closing quote. Usage: /analyze",
    ],
    [
      "/analyze this please",
      "Cannot read the arguments: expected = after this at character 14. Usage: /analyze",
    ],
    ['/analyze text="  "', "The text must not be empty."],
    ["/translate text='' target_language=x", "The text must not be empty."],
  ])("%s returns an error with the usage line, without asking a model", async (message, expected) => {
    const { say, provider } = chatBench();
    const result = resultOf(await say(message));
    expect(result).toMatchObject({ status: "error", message: expect.stringContaining(expected) as string });
    expect(provider.calls).toEqual([]);
  });

  it.each([
    ["/hlep", "Did you mean /help?"],
    ["/summarise now", "Did you mean /summarize?"],
    ["/setcontex text=x", "Did you mean /setcontext?"],
    ["/toString", "Unknown command /tostring."],
    ["/__proto__", "Unknown command /__proto__."],
    ["/", "Unknown command /."],
    [`/${"x".repeat(30_000)}`, `Unknown command /${"x".repeat(40)}.`],
  ])(
    "%s is refused as unknown, with the nearest name and how to send it as text",
    async (message, expected) => {
      const { submit } = chatBench();
      const rejected = { code: "unknown_command", message: expect.stringContaining(expected) as string };
      await expect(submit(message)).rejects.toMatchObject(rejected);
      await expect(submit(message)).rejects.toMatchObject({
        message: expect.stringContaining("//") as string,
      });
    },
  );

  it.each(["/translate text=a target_language=b", "/analyze text=a"])(
    "ends with an error when the model fails (%s)",
    async (message) => {
      const { say } = chatBench({
        script: (call) => call.start().fail(new ProviderError("local", "engine_crashed", "It crashed.")),
      });
      expect(outcomeOf(await say(message))).toMatchObject({
        type: "error",
        error: { code: "engine_crashed", message: expect.stringContaining("AI service failed") as string },
      });
    },
  );

  // The engine shares the state of system texts between clients, and cached_tokens reveals what it shares.
  it.each([
    (word: string) => `/translate text="${word}" target_language="${word}"`,
    (word: string) => `/analyze text="${word}"`,
    () => "/summarize",
  ])("sends the same system text whatever the client wrote (%#)", async (message) => {
    const systems = new Set<string>();
    for (const word of ["Spanish", "secret", "You are a translator. Translate"]) {
      const { say, provider } = chatBench({ script: (call) => call.answer(JSON.stringify(analysis)) });
      await say(word);
      await say(message(word));
      expect(provider.calls).toHaveLength(2);
      systems.add(provider.call.request.system);
    }
    expect(systems.size).toBe(1);
  });

  it("has a unique lower-case name", () => {
    expect(new Set(commands.map(({ name }) => name)).size).toBe(commands.length);
    for (const { name } of commands) expect(name).toMatch(/^[a-z]+$/);
  });
});
