import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChatProvider } from "../../../src/providers/provider.ts";
import type { SpendGuard } from "../../../src/providers/spend-guard.ts";
import { limitSpending } from "../../../src/providers/spend-limited-provider.ts";
import { answerOf, chatRequest, textOf } from "../../support/chat-request.ts";
import {
  done,
  event,
  finishChunk,
  roleChunk,
  status,
  textChunk,
  whole,
} from "../../support/fault-scripts.ts";
import { startFaultServer, type FaultScript, type FaultServer } from "../../support/fault-server.ts";
import type { FinishPart, SeenPart } from "../../support/parts-of.ts";
import { remoteProvider } from "../../support/remote-provider.ts";
import { asRemote, guardOf } from "../../support/remote-spending.ts";

/** Tokens that the guard counts for the prompt of `chatRequest("Hi")`. */
const prompt = 19;

function usageEvent(usage: unknown): string {
  return event({ choices: [], usage });
}

/** Texts, then nothing: only this service can end such an answer. */
function endless(texts: readonly string[], usage?: unknown): FaultScript {
  const counted = usage === undefined ? [] : [usageEvent(usage)];
  const sends = [roleChunk(), ...counted, ...texts.map(textChunk)].map((send) => ({ send }));
  return { steps: [...sends, { stall: true }] };
}

/** A whole answer with usage of any shape. */
function counted(texts: readonly string[], usage: unknown): FaultScript {
  const sends = [roleChunk(), ...texts.map(textChunk), finishChunk("stop"), usageEvent(usage), done];
  return { steps: sends.map((send) => ({ send })) };
}

function finishOf(parts: readonly SeenPart[]): FinishPart {
  const finish = parts.at(-1);
  if (finish?.type !== "finish") throw new Error("no finish");
  return finish;
}

function tokensOf(parts: readonly SeenPart[]): number {
  return parts.reduce((sum, part) => sum + (part.type === "text-delta" ? part.tokens : 0), 0);
}

const words = (count: number) => Array.from({ length: count }, (_, index) => ` w${index % 10}`);

describe("the token limit of an answer", () => {
  let server: FaultServer;
  let guard: SpendGuard;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    guard = guardOf(1000);
    provider = limitSpending(asRemote(remoteProvider("openai", server.baseUrl)), guard);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });
  const ask = (maxTokens: number) => answerOf(provider, chatRequest("Hi", { maxTokens }));

  it.each([
    ["one token a chunk", words(3000)],
    ["one character a chunk", Array.from({ length: 3000 }, () => "x")],
    ["many tokens a chunk", [words(1000).join(""), words(1000).join("")]],
    ["characters of four bytes", ["\u{1f600}".repeat(3000)]],
  ])("cuts an answer of a server that ignores it, and closes the connection: %s", async (_, texts) => {
    server.play(endless(texts));
    const parts = await ask(5);
    const text = textOf(parts);
    expect(texts.join("").startsWith(text)).toBe(true);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(40);
    expect(text).not.toContain("\ufffd");
    expect(tokensOf(parts)).toBe(5);
    expect(finishOf(parts)).toMatchObject({
      reason: "length",
      usage: { completionTokens: 5, estimated: true },
    });
    await server.requests[0]?.over;
    expect(server.requests[0]?.abandoned).toBe(true);
    expect(guard.usedToday()).toBeGreaterThanOrEqual(prompt + 5);
    expect(guard.usedToday()).toBeLessThan(100);
  });

  it("holds after the parameter was renamed, and for a value below the server's range", async () => {
    const refusal = (message: string) => status(400, { error: { message } });
    server.play(
      refusal("Unsupported parameter: 'max_tokens' is not supported with this model."),
      refusal("max_completion_tokens must be at least 16"),
      endless(words(100)),
    );
    expect(textOf(await ask(5))).toBe(words(5).join(""));
    expect(server.requests.at(-1)?.body).toMatchObject({ max_completion_tokens: 16 });
    expect(textOf(await ask(7))).toBe(words(7).join(""));
    expect(server.requests).toHaveLength(4);
  });

  it.each([
    ["one token a chunk", words(5), 5],
    [
      "English, eight tokens a chunk",
      Array.from({ length: 8 }, () => "The city of Paris lies on the river."),
      64,
    ],
    [
      "Chinese, several tokens a chunk",
      Array.from({ length: 8 }, () => "\u5df4\u9ece\u662f\u6cd5\u56fd\u7684\u9996\u90fd"),
      40,
    ],
    // Counted with OpenAI's o200k.
    [
      "Russian, ten bytes a token",
      [" Правительство приняло решение о развитии образования и здравоохранения."],
      14,
    ],
    ["Hindi, twelve bytes a token", [" सरकार ने शिक्षा और स्वास्थ्य के विकास के लिए निर्णय लिया है।"], 13],
    ["Markdown", ["| Name                | Description |\n|---------------------|-------------|\n"], 12],
  ])("does not cut an answer that a server counts correctly: %s", async (_, texts, tokens) => {
    server.play(counted(texts, { prompt_tokens: 20, completion_tokens: tokens }));
    const parts = await ask(tokens);
    expect(textOf(parts)).toBe(texts.join(""));
    expect(finishOf(parts)).toMatchObject({ reason: "stop", usage: { completionTokens: tokens } });
    expect(guard.usedToday()).toBe(20 + tokens);
  });

  it("cuts an answer with a schema, without a second request", async () => {
    server.play(endless(['{"a":"', ...words(3000)]));
    const parts = await answerOf(
      provider,
      chatRequest("Hi", { maxTokens: 5, jsonSchema: { type: "object" } }),
    );
    expect(finishOf(parts)).toMatchObject({ reason: "length", usage: { completionTokens: 5 } });
    expect(tokensOf(parts)).toBe(5);
    expect(server.requests).toHaveLength(1);
  });
});

describe("the spend guard", () => {
  let server: FaultServer;
  let guard: SpendGuard;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    guard = guardOf(1_000_000);
    provider = limitSpending(asRemote(remoteProvider("openai", server.baseUrl)), guard);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });

  const texts = words(50);
  /** Bytes / 3, rounded for each of the 50 pieces of three bytes. */
  const estimate = 50;

  it.each([
    ["missing", undefined],
    ["null", null],
    ["zero", { prompt_tokens: 0, completion_tokens: 0 }],
    ["less than the text", { prompt_tokens: 1, completion_tokens: 3 }],
    ["negative", { prompt_tokens: -20, completion_tokens: -50 }],
    ["a text", { prompt_tokens: "20", completion_tokens: "50" }],
    ["a fraction", { prompt_tokens: 20.5, completion_tokens: 49.5 }],
    ["larger than the window", { prompt_tokens: 90_000_000, completion_tokens: 90_000_000 }],
    ["larger than any number", { prompt_tokens: 1e308, completion_tokens: 1e308 }],
  ])("counts the text itself if the usage is %s", async (_, usage) => {
    server.play(counted(texts, usage));
    const { usage: seen } = finishOf(await answerOf(provider, chatRequest("Hi")));
    expect(seen.completionTokens).toBe(50);
    expect(seen.estimated).toBe(true);
    expect(guard.usedToday()).toBeGreaterThanOrEqual(estimate + 1);
    expect(guard.usedToday()).toBeLessThanOrEqual(prompt + estimate);
  });

  it("uses the server's count if it is possible", async () => {
    server.play(counted(texts, { prompt_tokens: 15, completion_tokens: 70 }));
    expect(finishOf(await answerOf(provider, chatRequest("Hi"))).usage).not.toHaveProperty("estimated");
    expect(guard.usedToday()).toBe(85);
  });

  it("counts JSON answers that were rejected", async () => {
    const request = chatRequest("Hi", { jsonSchema: { type: "object" } });
    server.play(whole(["no"]));
    await expect(answerOf(provider, request)).rejects.toMatchObject({ code: "bad_answer" });
    // Both prompts, the first one as counted by the server, and both answers.
    expect(guard.usedToday()).toBeGreaterThanOrEqual(21 + 13 + 13 + prompt);
    const before = guard.usedToday();
    server.play(whole(["no"]), status(503));
    await expect(answerOf(provider, request)).rejects.toMatchObject({ code: "provider_unavailable" });
    expect(guard.usedToday() - before).toBeGreaterThanOrEqual(21 + 13);
  });

  it("counts a rejected JSON answer if the second one is cancelled", async () => {
    server.play(counted(words(40), undefined), endless([]));
    const controller = new AbortController();
    const request = chatRequest("Hi", { jsonSchema: { type: "object" } });
    const answer = answerOf(provider, request, controller.signal);
    await server.request(1);
    controller.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    expect(guard.usedToday()).toBeGreaterThanOrEqual(prompt + 40 + prompt);
  });
});
