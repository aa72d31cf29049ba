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

  it("a model with long reasoning, and emits progress without the reasoning", async () => {
    const reasoning = { send: chunk({ reasoning_content: "secret thought" }) };
    const wait = { waitMs: 2000 };
    const answer = [chunk({ content: "Hello" }), chunk({}, "stop"), done].map((send) => ({ send }));
    server.play({ steps: [reasoning, wait, reasoning, reasoning, wait, reasoning, ...answer] });
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect(parts.map(({ type }) => type)).toEqual([
      "started",
      "progress",
      "progress",
      "text-delta",
      "finish",
    ]);
    expect(JSON.stringify(parts)).not.toContain("thought");
  });
});
