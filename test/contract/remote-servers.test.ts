import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChatProvider, Usage } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { done, event } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, remoteProvider } from "../support/remote-provider.ts";
import type { SeenPart } from "../support/parts-of.ts";

const head = { id: "1", object: "chat.completion.chunk", created: 1, model: "m" };

function chunk(delta: object, finish_reason: string | null = null, more: object = {}): string {
  return event({ ...head, choices: [{ index: 0, delta, finish_reason }], ...more });
}

const usage = (prompt_tokens: number, completion_tokens: number, more: object = {}) => ({
  usage: { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens, ...more },
});

/** Streams as sent by common servers, with the text "Hello" and the expected usage. */
const servers: readonly (readonly [string, readonly string[], Partial<Usage>])[] = [
  [
    "OpenAI",
    [
      chunk({ role: "assistant", content: "", refusal: null }, null, { usage: null, obfuscation: "x7" }),
      chunk({ content: "Hello" }, null, { usage: null }),
      chunk({}, "stop", { usage: null }),
      event({ ...head, choices: [], ...usage(9, 1, { prompt_tokens_details: { cached_tokens: 4 } }) }),
      done,
    ],
    { promptTokens: 9, completionTokens: 1, cachedTokens: 4 },
  ],
  [
    "vLLM with continuous usage and a reasoning parser",
    [
      chunk({ role: "assistant", content: "" }, null, usage(9, 0)),
      chunk({ reasoning_content: "They greet me." }, null, usage(9, 5)),
      chunk({ reasoning: "So do I." }, null, usage(9, 8)),
      chunk({ content: "Hello" }, null, usage(9, 9)),
      chunk({ content: "" }, "stop", { ...usage(9, 10), stop_reason: null }),
      event({ ...head, choices: [], ...usage(9, 10) }),
      done,
    ],
    { promptTokens: 9, completionTokens: 10, cachedTokens: 0 },
  ],
  [
    "llama-server",
    [
      chunk({ role: "assistant", content: null }),
      chunk({ reasoning_content: "Hm." }),
      chunk({ content: "Hello" }),
      chunk({}, "stop"),
      event({
        ...head,
        choices: [],
        ...usage(9, 3, { prompt_tokens_details: { cached_tokens: 8 } }),
        timings: { prompt_n: 1 },
      }),
      done,
    ],
    { promptTokens: 9, completionTokens: 3, cachedTokens: 8 },
  ],
  [
    "Ollama, with the role in every chunk",
    [
      chunk({ role: "assistant", content: "", reasoning: "Hm." }, null, { system_fingerprint: "fp_ollama" }),
      chunk({ role: "assistant", content: "Hello" }, null, { system_fingerprint: "fp_ollama" }),
      chunk({ role: "assistant", content: "" }, "stop", { system_fingerprint: "fp_ollama" }),
      event({ ...head, choices: [], ...usage(9, 3) }),
      done,
    ],
    { promptTokens: 9, completionTokens: 3 },
  ],
  [
    "LM Studio, without usage",
    [chunk({ role: "assistant", content: "Hello" }, null, { logprobs: null }), chunk({}, "stop"), done],
    { completionTokens: 1, estimated: true },
  ],
  [
    "TGI on an own Hugging Face endpoint, without [DONE]",
    [
      ": ping\n\n",
      chunk({ role: "assistant", content: "Hello" }, null, { usage: null }),
      chunk({ role: "assistant", content: "" }, "eos_token", usage(9, 2)),
    ],
    { promptTokens: 9, completionTokens: 2 },
  ],
  [
    "Azure, with content filter results first",
    [
      event({ ...head, model: "", choices: [], prompt_filter_results: [{ prompt_index: 0 }] }),
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "Hello" }),
      chunk({}, "stop", { content_filter_results: {} }),
      event({ ...head, choices: [], ...usage(9, 1) }),
      done,
    ],
    { promptTokens: 9, completionTokens: 1 },
  ],
];

/** Deltas of one answer, its reasoning and its text. */
const reasoningShapes: readonly (readonly [name: string, deltas: readonly object[], string, string])[] = [
  [
    "reasoning_content",
    [{ reasoning_content: "Hm", content: null }, { reasoning_content: "." }, { content: "Hi" }],
    "Hm.",
    "Hi",
  ],
  ["reasoning", [{ reasoning: "Hm.", content: "" }, { content: "Hi" }], "Hm.", "Hi"],
  ["thinking", [{ thinking: "Hm." }, { content: "Hi" }], "Hm.", "Hi"],
  [
    "details beside the same text",
    [{ reasoning: "Hm.", reasoning_details: [{ type: "reasoning.text", text: "Hm." }] }, { content: "Hi" }],
    "Hm.",
    "Hi",
  ],
  [
    "details alone",
    [
      {
        reasoning_details: [
          { type: "reasoning.summary", summary: "Hm." },
          { type: "reasoning.encrypted", data: "x" },
        ],
      },
      { content: "Hi" },
    ],
    "Hm.",
    "Hi",
  ],
  [
    "thinking blocks",
    [{ thinking_blocks: [{ type: "thinking", thinking: "Hm.", signature: "s" }] }, { content: "Hi" }],
    "Hm.",
    "Hi",
  ],
  [
    "parts of the content",
    [
      { content: [{ type: "thinking", thinking: [{ type: "text", text: "Hm." }] }] },
      { content: [{ type: "text", text: "Hi" }] },
    ],
    "Hm.",
    "Hi",
  ],
  [
    "a tag in the text",
    ["<thi", "nk>\nHm", ".\n</th", "ink>\n\n", "Hi"].map((content) => ({ content })),
    "Hm.",
    "Hi",
  ],
  ["Gemini's tag", [{ content: "<thought>Hm." }, { content: "</thought>Hi" }], "Hm.", "Hi"],
  [
    "harmony in the text",
    ["<|channel|>analysis<|mess", "age|>Hm.<|end|><|start|>assistant<|channel|>fin", "al<|message|>Hi"].map(
      (content) => ({ content }),
    ),
    "Hm.",
    "Hi",
  ],
  [
    "half an emoji in two chunks",
    [{ reasoning: "\ud83d" }, { reasoning: "\ude00" }, { content: "Hi" }],
    "😀",
    "Hi",
  ],
];

function reasoningOf(parts: readonly SeenPart[]): string {
  return parts.map((part) => (part.type === "reasoning-delta" ? part.text : "")).join("");
}

describe.each(remoteNames)("the %s provider reads the stream of", (name) => {
  let server: FaultServer;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    provider = remoteProvider(name, server.baseUrl);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });

  it.each(servers)("%s", async (_, sent, counted) => {
    server.play({
      headers: { "content-type": "Text/Event-Stream; charset=utf-8" },
      steps: sent.map((send) => ({ send })),
    });
    const parts: readonly SeenPart[] = await answerOf(provider, chatRequest("Hi"));
    expect(textOf(parts)).toBe("Hello");
    const finish = parts.at(-1);
    if (finish?.type !== "finish") throw new Error("no finish");
    expect(finish.reason).toBe("stop");
    expect(finish.usage).toMatchObject(counted);
    expect(finish.usage.estimated).toBe(counted.estimated);
  });

  it("a model with long reasoning, and keeps the reasoning out of its text", async () => {
    const reasoning = { send: chunk({ reasoning_content: "thought" }) };
    const wait = { waitMs: 2000 };
    const answer = [chunk({ content: "Hello" }), chunk({}, "stop"), done].map((send) => ({ send }));
    server.play({ steps: [reasoning, wait, reasoning, reasoning, wait, reasoning, ...answer] });
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect(parts.filter(({ type }) => type !== "reasoning-delta").map(({ type }) => type)).toEqual([
      "started",
      "progress",
      "progress",
      "text-delta",
      "finish",
    ]);
    expect(reasoningOf(parts)).toBe("thought".repeat(4));
    expect(textOf(parts)).toBe("Hello");
  });

  it.each(reasoningShapes)("reasoning as %s", async (_, deltas, reasoning, text) => {
    server.play({
      steps: [...deltas.map((delta) => chunk(delta)), chunk({}, "stop"), done].map((send) => ({ send })),
    });
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect([reasoningOf(parts), textOf(parts)]).toEqual([reasoning, text]);
    const { usage } = parts.at(-1) as Extract<SeenPart, { type: "finish" }>;
    expect(usage.reasoningTokens).toBeGreaterThan(0);
    expect(usage.completionTokens).toBeGreaterThanOrEqual(usage.reasoningTokens as number);
  });

  it("reasoning that the token limit ends as an answer without text", async () => {
    const sent = [
      chunk({ content: "<think>Let me" }),
      chunk({ content: " see" }, "length", usage(9, 4)),
      done,
    ];
    server.play({ steps: sent.map((send) => ({ send })) });
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect([reasoningOf(parts), textOf(parts)]).toEqual(["Let me see", ""]);
    expect(parts.at(-1)).toMatchObject({
      type: "finish",
      reason: "length",
      usage: { reasoningTokens: expect.any(Number) as number },
    });
  });

  it("reasoning with a stop text of the request, which ends the answer only", async () => {
    const sent = [
      chunk({ content: "<think>END</think>a" }),
      chunk({ content: "bENDc" }),
      chunk({}, "stop"),
      done,
    ];
    server.play({ steps: sent.map((send) => ({ send })) });
    const parts = await answerOf(provider, { ...chatRequest("Hi"), sampling: { stop: ["END"] } });
    expect([reasoningOf(parts), textOf(parts)]).toEqual(["END", "ab"]);
  });

  describe("a model whose template opens the reasoning,", () => {
    const answerTo = async (...deltas: object[]): Promise<readonly string[]> => {
      const sent = [...deltas.map((delta) => chunk(delta)), chunk({}, "stop"), done];
      server.play({ steps: sent.map((send) => ({ send })) });
      const parts = await answerOf(provider, chatRequest("Hi"));
      return [reasoningOf(parts), textOf(parts)];
    };

    beforeEach(() => {
      provider = remoteProvider(name, server.baseUrl, { model: "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B" });
    });

    it("which has only its end", async () => {
      expect(await answerTo({ content: "Hm" }, { content: ".\n</th" }, { content: "ink>\n\nHi" })).toEqual([
        "Hm.",
        "Hi",
      ]);
    });

    it("and a server that separates it", async () => {
      expect(await answerTo({ reasoning_content: "Hm." }, { content: "Hi" })).toEqual(["Hm.", "Hi"]);
    });

    it("and a server that hides it, which is noticed after three answers", async () => {
      for (let count = 0; count < 3; count++) {
        expect(await answerTo({ content: "Hi" }, { content: "!" })).toEqual(["Hi!", "Hi!"]);
      }
      expect(await answerTo({ content: "Hi" }, { content: "!" })).toEqual(["", "Hi!"]);
    });

    it("and a server that hides it, with an answer of almost as many tokens as allowed", async () => {
      const words = Array.from({ length: 8 }, (_, index) => chunk({ content: `word${index} ` }));
      server.play({ steps: [...words, chunk({}, "stop"), done].map((send) => ({ send })) });
      const parts = await answerOf(provider, { ...chatRequest("Hi"), maxTokens: 10 });
      expect(textOf(parts)).toBe("word0 word1 word2 word3 word4 word5 word6 word7 ");
      const end = parts.at(-1) as { readonly usage: Usage };
      expect(end).toMatchObject({ reason: "stop", usage: { completionTokens: 8 } });
      expect(end.usage).not.toHaveProperty("reasoningTokens");
    });

    it("and once seen is expected for good", async () => {
      await answerTo({ content: "Hm.</think>Hi" });
      for (let count = 0; count < 4; count++) await answerTo({ content: "Hi" });
      expect(await answerTo({ content: "Hm.</think>Hi" })).toEqual(["Hm.", "Hi"]);
    });
  });

  it("reasoning before JSON", async () => {
    const jsonSchema = { type: "object", required: ["a"], properties: { a: { type: "integer" } } };
    const sent = [
      chunk({ content: '<think>{"a": no}' }),
      chunk({ content: '</think>{"a":1}' }, "stop"),
      done,
    ];
    server.play({ steps: sent.map((send) => ({ send })) });
    const parts = await answerOf(provider, { ...chatRequest("Hi"), jsonSchema });
    expect([reasoningOf(parts), textOf(parts)]).toEqual(['{"a": no}', '{"a":1}']);
  });
});
