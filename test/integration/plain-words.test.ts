import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { findDisclosureIn } from "../support/disclosure.ts";
import { faultCases, startBadAddresses, wordingCases } from "../support/fault-cases.ts";
import { answerText, status } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, until, type Service } from "../support/service.ts";

const KEY = "sk-never-to-be-seen-0123456789";
const RETRIES_OFF = { AI_RETRIES: "0", AI_BREAKER_FAILURES: "1000", AI_BREAKER_SECONDS: "0.05" };
const TIGHT = { AI_FIRST_TOKEN_SECONDS: "0.5", AI_TOKEN_GAP_SECONDS: "0.5", AI_TIMEOUT_SECONDS: "5" };

/** A request that came through a proxy, so it is not from this machine. */
const FROM_OUTSIDE = { headers: { "x-forwarded-for": "203.0.113.9" } };

/** Text of an upstream answer may hold anything. */
const ownTexts = new Set([answerText]);

async function ask(service: Service, protocols: string[], message = "hello"): Promise<ChatSocket> {
  const chat = await ChatSocket.greeted(`${service.url}/ws/chat`, protocols);
  await chat.ask(message);
  await chat.ask("/translate text=a target_language=b");
  await chat.close();
  return chat;
}

function expectPlain(frames: readonly unknown[], about: string): void {
  for (const frame of frames) {
    if ((frame as { type: string }).type === "token") continue;
    expect(findDisclosureIn(frame, ownTexts), about).toBeUndefined();
  }
}

async function expectStatusOnly(service: Service, ready: boolean): Promise<void> {
  const outside = await service.http("/readyz", FROM_OUTSIDE);
  expect([outside.status, await outside.json()]).toEqual(
    ready ? [200, { status: "ready" }] : [503, { status: "not_ready" }],
  );
}

describe("a misconfigured service", () => {
  it.each([
    ["no key", { AI_PROVIDER: "openai" }, /OPENAI_API_KEY/],
    ["no model file", { AI_PROVIDER: "local", MODEL_PATH: "/no/such/model.gguf" }, /no\/such\/model/],
    ["a model file that is none", { AI_PROVIDER: "local", MODEL_PATH: process.execPath }, /not a GGUF|GGUF/i],
    ["no token", { AI_PROVIDER: "huggingface" }, /HF_API_KEY/],
    [
      "several of these",
      { AI_PROVIDER: "local", MODEL_PATH: "/no/such/model.gguf", AI_FALLBACK: "huggingface,openai" },
      /HF_API_KEY/,
    ],
  ])("with %s gives clients plain words, and operators the reason", async (name, settings, reason) => {
    const service = await startService({ AI_FALLBACK: "none", ...settings });
    for (const protocols of [[], ["chat.v1"]]) {
      const { frames } = await ask(service, protocols);
      expect(frames.map(({ type }) => type)).toEqual(["system", "error", "error"]);
      expectPlain(frames, name);
    }
    await expectStatusOnly(service, false);
    const local = (await (await service.http("/readyz")).json()) as { reason: string };
    expect(local.reason).toMatch(reason);
    expect(JSON.stringify(service.log)).toMatch(reason);
    expect(service.stderr()).toMatch(reason);
    await service.stop();
  });

  it("gives clients plain words for everything that a request over HTTP can be refused for", async () => {
    const service = await startService({ AI_PROVIDER: "openai", AI_FALLBACK: "none" });
    for (const [path, init] of [
      ["/metrics", FROM_OUTSIDE],
      ["/nothing", {}],
      ["/ws/chat", {}],
      ["/readyz", { method: "POST" }],
      ["/", { headers: { origin: "null" } }],
    ] as const) {
      const body = await (await service.http(path, init)).text();
      expect(findDisclosureIn(body), path).toBeUndefined();
    }
    for (const [path, headers, code] of [
      ["/ws/chat/auth", {}, 4401],
      ["/ws/chat/auth?token=a.b.c", {}, 4401],
      ["/ws/chat", { origin: "null" }, 4403],
    ] as const) {
      const closed = await (await ChatSocket.open(`${service.url}${path}`, [], { headers })).closed;
      expect(closed.code).toBe(code);
      expect(findDisclosureIn(closed), path).toBeUndefined();
    }
    await service.stop();
  });
});

describe("a failing provider", () => {
  let upstream: FaultServer;

  beforeAll(async () => {
    upstream = await startFaultServer();
  });

  afterAll(() => upstream.close());

  it("gives clients plain words for every fault, and operators the reason", async () => {
    const settings = {
      ...RETRIES_OFF,
      ...TIGHT,
      AI_PROVIDER: "openai",
      AI_FALLBACK: "none",
      OPENAI_API_KEY: KEY,
    };
    const service = await startService({
      ...settings,
      OPENAI_BASE_URL: upstream.baseUrl,
      OPENAI_MODEL: "/srv/models/tiny.gguf",
    });
    const seen = new Set<unknown>();
    for (const { name, script } of [...faultCases, ...wordingCases]) {
      upstream.play(script);
      // A breaker that the previous fault opened would answer for the provider.
      await until(async () => (await service.http("/readyz")).ok);
      const { frames } = await ask(service, ["chat.v1"]);
      for (const { code } of frames) seen.add(code);
      expectPlain(frames, name);
    }
    expect([...seen]).toEqual(
      expect.arrayContaining([
        "provider_auth",
        "provider_quota",
        "provider_rate_limited",
        "provider_timeout",
        "prompt_too_long",
        "bad_request",
        "bad_answer",
        "content_refused",
      ]),
    );
    expect(JSON.stringify(service.log)).toContain("OPENAI_MODEL");
    await service.stop();
  });

  it("gives clients plain words while its address is wrong, its breaker is open and its fallback fails", async () => {
    const bad = await startBadAddresses();
    for (const { name, baseUrl } of bad.addresses) {
      const service = await startService({
        AI_PROVIDER: "openai",
        AI_FALLBACK: "huggingface,local",
        OPENAI_API_KEY: KEY,
        OPENAI_BASE_URL: baseUrl,
        HF_API_KEY: "hf_never_to_be_seen",
        HF_BASE_URL: upstream.baseUrl,
        MODEL_PATH: "/no/such/model.gguf",
        AI_RETRIES: "0",
        AI_BREAKER_FAILURES: "1",
        AI_BREAKER_SECONDS: "60",
      });
      upstream.play(status(401));
      for (const protocols of [["chat.v1"], [], ["chat.v1"]])
        expectPlain((await ask(service, protocols)).frames, name);
      await expectStatusOnly(service, false);
      await service.stop();
    }
    await bad.close();
  });
});
