import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, cutAfter, slowDrip, stallAfter, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const KEY = "sk-never-to-be-seen-0123456789";

describe.each([
  ["openai", (baseUrl: string) => ({ OPENAI_API_KEY: KEY, OPENAI_BASE_URL: baseUrl, AI_MODEL: "the-model" })],
  ["huggingface", (baseUrl: string) => ({ HF_API_KEY: KEY, HF_BASE_URL: baseUrl, HF_MODEL: "the-model" })],
] as const)("with AI_PROVIDER=%s", (provider, settings) => {
  let upstream: FaultServer;
  let service: Service;
  let requestsBefore = 0;

  beforeAll(async () => {
    upstream = await startFaultServer();
    service = await startService({
      AI_PROVIDER: provider,
      AI_FALLBACK: "none",
      AI_TIMEOUT_SECONDS: "2",
      // Retries and breakers are covered by the fallback tests.
      AI_RETRIES: "0",
      AI_BREAKER_SECONDS: "0.05",
      ...settings(upstream.baseUrl),
    });
  });

  beforeEach(() => {
    requestsBefore = upstream.requests.length;
  });

  afterAll(async () => {
    await service.stop();
    await upstream.close();
  });

  it("streams the answer, and sends context, history and the output limit to the provider", async () => {
    upstream.play(whole());
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    expect(chat.welcome).toMatchObject({ provider, model: "the-model" });
    await chat.command('/setcontext text="I like trains"');
    await chat.ask("first question");
    const end = await chat.ask("second question", { max_tokens: 77, temperature: 0.5 });
    expect(end).toMatchObject({
      type: "message",
      content: answerText,
      provider,
      model: "the-model",
      finish_reason: "stop",
    });
    expect(chat.streamed(end["answer"])).toBe(answerText);
    const { body, headers } = upstream.requests.at(-1) as FaultServer["requests"][number];
    expect(headers.authorization).toBe(`Bearer ${KEY}`);
    expect(body.messages?.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user"]);
    expect(body.messages?.[0]?.content).toContain("I like trains");
    expect(body.messages?.[3]?.content).toBe("second question");
    expect(body["temperature"]).toBe(0.5);
    expect(body["max_tokens"] ?? body["max_completion_tokens"]).toBe(77);
    await chat.close();
  });

  it("a cancel stops the upstream request and keeps the text so far", async () => {
    upstream.play(slowDrip(50));
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    chat.send({ message: "tell me", id: "m" });
    await chat.next(({ type }) => type === "token");
    chat.send({ type: "cancel", id: "m" });
    const end = await chat.next(({ type }) => type === "message");
    expect(end).toMatchObject({ finish_reason: "cancelled" });
    expect(answerText.startsWith(end["content"] as string)).toBe(true);
    const request = await upstream.request(requestsBefore);
    await request.over;
    expect(request.abandoned).toBe(true);
    await chat.close();
  });

  it.each([
    ["a refused key", () => status(401), "provider_auth", false],
    ["an exceeded rate limit", () => status(429, {}, { "retry-after": "7" }), "provider_rate_limited", true],
    ["a server error", () => status(500), "provider_unavailable", true],
    ["an answer that was cut", () => cutAfter(3), "bad_answer", true],
    ["a stall", () => stallAfter(2), "provider_timeout", true],
  ] as const)(
    "%s is reported as one error, and the next message is answered",
    async (_name, script, code, retryable) => {
      upstream.play(script(), whole());
      const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
      const error = await chat.ask("the words of a user");
      expect(error).toMatchObject({ type: "error", code, retryable });
      if (code === "provider_rate_limited") expect(error["retry_after_ms"]).toBe(7000);
      await delay(100);
      expect(await chat.ask("again")).toMatchObject({ type: "message", content: answerText });
      await chat.close();
    },
  );

  it("never writes its key or a user's text to the log", () => {
    const log = JSON.stringify(service.log) + service.stderr();
    expect(log).not.toContain(KEY);
    expect(log).not.toContain("the words of a user");
  });
});

describe("when the chosen provider cannot start", () => {
  let upstream: FaultServer;

  beforeAll(async () => {
    upstream = await startFaultServer();
    upstream.play(whole());
  });

  afterAll(() => upstream.close());

  it("falls back to openai if it has a key, and reports it in the log and the start banner", async () => {
    const service = await startService({
      MODEL_PATH: "/no/such/model.gguf",
      OPENAI_API_KEY: KEY,
      OPENAI_BASE_URL: upstream.baseUrl,
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(chat.welcome).toMatchObject({
      provider: "openai",
      message: expect.not.stringMatching(/could not start|MODEL_PATH/) as unknown,
    });
    expect(await chat.ask("hello")).toMatchObject({
      type: "message",
      provider: "openai",
      content: answerText,
    });
    expect(service.stderr()).toMatch(/local could not start/);
    expect(
      service.log.some(({ level, msg }) => level === "warn" && /local could not start/.test(String(msg))),
    ).toBe(true);
    await chat.close();
    await service.stop();
  });

  it("uses the local model named by AI_FALLBACK", async () => {
    const service = await startService({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "local",
      MODEL_PATH: await tinyModel(),
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(chat.welcome).toMatchObject({ provider: "local", text_may_leave: false });
    expect(await chat.ask("hello", { max_tokens: 4 })).toMatchObject({ type: "message", provider: "local" });
    await chat.close();
    await service.stop();
  });

  it("never falls back with AI_FALLBACK=none", async () => {
    const service = await startService({
      MODEL_PATH: "/no/such/model.gguf",
      AI_FALLBACK: "none",
      OPENAI_API_KEY: KEY,
      OPENAI_BASE_URL: upstream.baseUrl,
    });
    const before = upstream.requests.length;
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(chat.welcome).toMatchObject({ provider: null, text_may_leave: false });
    expect(await chat.ask("hello")).toMatchObject({ type: "error", code: "no_provider" });
    expect((await service.http("/readyz")).status).toBe(503);
    expect(upstream.requests.length).toBe(before);
    await chat.close();
    await service.stop();
  });
});
