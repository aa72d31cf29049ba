import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { emitted, expectNoSecrets, seenAnswer } from "../support/fallbacks.ts";
import { faultCases, startBadAddresses, type FaultCase } from "../support/fault-cases.ts";
import { answerText, answerTokens, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, until, type Service } from "../support/service.ts";

const KEY = "sk-never-to-be-seen-0123456789";
const URL_SECRET = "url-credential-0123456789";
const USER_TEXT = "the very words of a user";
const DEADLINE_MS = 10_000;
/** Milliseconds that the end of an answer may come after the deadline. */
const GRACE_MS = 5000;
/** A failed provider is tried again after this time, so that the cases do not affect each other. */
const BREAKER_MS = 50;

const settings = {
  AI_PROVIDER: "openai",
  OPENAI_API_KEY: KEY,
  HF_API_KEY: KEY,
  HF_MODEL: "the-model",
  // Far more than a server that does not stall needs, even on a busy machine.
  AI_FIRST_TOKEN_SECONDS: "1.5",
  AI_TOKEN_GAP_SECONDS: "1.5",
  AI_TIMEOUT_SECONDS: String(DEADLINE_MS / 1000),
  AI_RETRIES: "1",
  AI_RETRY_WAIT_SECONDS: "0.1",
  AI_BREAKER_SECONDS: String(BREAKER_MS / 1000),
  LOG_LEVEL: "debug",
};

const ends = new Set(["message", "command_response", "error"]);

/** Sends a message and expects exactly one end in time. */
async function askInTime(chat: ChatSocket): Promise<Frame> {
  const from = chat.frames.length;
  const begin = performance.now();
  const end = await chat.ask(USER_TEXT, { conversation: `c${from}` });
  expect(performance.now() - begin).toBeLessThan(DEADLINE_MS + GRACE_MS);
  await delay(BREAKER_MS + 20);
  expect(chat.frames.slice(from).filter(({ type }) => ends.has(type))).toEqual([end]);
  return end;
}

describe.each(["none", "huggingface"] as const)("with AI_FALLBACK=%s, the service", (fallback) => {
  let upstream: FaultServer;
  let next: FaultServer;
  let service: Service;
  let chat: ChatSocket;

  beforeAll(async () => {
    [upstream, next] = await Promise.all([startFaultServer(), startFaultServer()]);
    next.play(whole());
    service = await startService({
      ...settings,
      AI_FALLBACK: fallback,
      OPENAI_BASE_URL: upstream.baseUrl.replace("//", `//user:${URL_SECRET}@`),
      HF_BASE_URL: next.baseUrl,
    });
    chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    if (fallback === "none") return;
    // The first use of the fallback loads its SDK, which can take longer than the deadline of these tests.
    upstream.play(status(500));
    await until(async () => (await chat.ask(USER_TEXT))["provider"] === "huggingface", 20_000);
    await delay(BREAKER_MS + 20);
  });

  afterAll(async () => {
    await chat.close();
    await service.stop();
    await Promise.all([upstream.close(), next.close()]);
  });

  it.each(faultCases.map((fault) => [fault.when, fault.name, fault] as const))(
    "ends the answer as specified after a fault in phase %s: %s",
    async (when, _name, fault) => {
      upstream.play(fault.script);
      const asked = upstream.requests.length;
      const end = await askInTime(chat);
      expect(upstream.requests.length).toBeGreaterThan(asked);
      expectOutcome(chat, end, fault, when, fallback !== "none");
      if (when === "mid_stream") expect(upstream.requests.length).toBe(asked + 1);
    },
  );

  it("leaves no request running and emits no secret", async () => {
    expect(await chat.ask("/help")).toMatchObject({ type: "command_response" });
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_requests_running 0$/m);
    expect(metrics).toMatch(/^chat_requests_waiting 0$/m);
    expect([upstream.running, next.running]).toEqual([0, 0]);
    expectNoSecrets(emitted(service) + metrics, [KEY, URL_SECRET, USER_TEXT]);
    expectNoSecrets(JSON.stringify(chat.frames), [KEY, URL_SECRET, USER_TEXT]);
  });
});

function expectOutcome(
  chat: ChatSocket,
  end: Frame,
  fault: FaultCase,
  when: FaultCase["when"],
  hasFallback: boolean,
): void {
  if (fault.outcome === "whole") {
    expect(end).toMatchObject({ type: "message", content: answerText, provider: "openai" });
    expect(seenAnswer(chat, end).fallbacks).toEqual([]);
    return;
  }
  if (!hasFallback) {
    expect(end).toMatchObject({ type: "error", code: fault.outcome, message: expect.any(String) as string });
    return;
  }
  const seen = seenAnswer(chat, end);
  expect(end).toMatchObject({ type: "message", content: answerText, provider: "huggingface" });
  expect(seen.before).toBe(when === "mid_stream" ? answerTokens.slice(0, 4).join("") : "");
  expect(seen.fallbacks).toHaveLength(1);
  expect(seen.fallbacks[0]).toMatchObject({
    phase: when,
    from_provider: "openai",
    to_provider: "huggingface",
  });
}

describe("a provider address that does not answer", () => {
  let bad: Awaited<ReturnType<typeof startBadAddresses>>;
  let next: FaultServer;

  beforeAll(async () => {
    bad = await startBadAddresses();
    next = await startFaultServer();
    next.play(whole());
  });

  afterAll(async () => {
    await bad.close();
    await next.close();
  });

  it.each(["none", "huggingface"])("is handled in time with AI_FALLBACK=%s", async (fallback) => {
    for (const { name, baseUrl } of bad.addresses) {
      const service = await startService({
        ...settings,
        AI_FALLBACK: fallback,
        OPENAI_BASE_URL: baseUrl,
        HF_BASE_URL: next.baseUrl,
      });
      const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
      const end = await askInTime(chat);
      if (fallback === "none")
        expect(end, name).toMatchObject({ type: "error", code: "provider_unavailable" });
      else expect(end, name).toMatchObject({ type: "message", content: answerText, provider: fallback });
      expectNoSecrets(emitted(service), [KEY, USER_TEXT]);
      await chat.close();
      await service.stop();
    }
  });
});
