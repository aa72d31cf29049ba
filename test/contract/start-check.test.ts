import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { startHuggingFaceProvider } from "../../src/providers/huggingface/huggingface-provider.ts";
import { startOpenAiProvider } from "../../src/providers/openai/openai-provider.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { answerText, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultScript, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, secretKey, type RemoteName } from "../support/remote-provider.ts";

const starts = { openai: startOpenAiProvider, huggingface: startHuggingFaceProvider };
const settingOf = { openai: "OPENAI_CONTEXT_TOKENS", huggingface: "HF_CONTEXT_TOKENS" };

function list(...data: object[]): FaultScript {
  return status(200, { object: "list", data });
}

let server: FaultServer;
let lines: string[];
let provider: ChatProvider | undefined;

beforeEach(async () => {
  server = await startFaultServer();
  server.play(whole());
  lines = [];
});
afterEach(async () => {
  await provider?.close();
  provider = undefined;
  await server.close();
});

async function start(name: RemoteName, baseUrl: string | undefined, apiKey: string | undefined = secretKey) {
  const warn = (...line: unknown[]) => void lines.push(JSON.stringify(line));
  const options = { apiKey, baseUrl, model: "the-model", contextTokens: 8192 };
  provider = await starts[name](options, { clock: systemClock, logger: { ...silentLogger, warn } });
  return provider;
}

describe.each(remoteNames)("the start of %s", (name) => {
  it("requests the model list with the key in the header, and logs nothing if the check succeeds", async () => {
    server.playModels(list({ id: "other" }, { id: "the-model", max_model_len: 32_768 }));
    const started = await start(name, server.baseUrl);
    expect(server.modelRequests).toHaveLength(1);
    expect(server.modelRequests[0]?.path).toBe("/v1/models");
    expect(server.modelRequests[0]?.headers.authorization).toBe(`Bearer ${secretKey}`);
    expect(server.requests).toHaveLength(0);
    expect(lines).toEqual([]);
    expect(started.describe().contextTokens).toBe(8192);
  });

  it("uses the window reported by vLLM and llama-server if it is smaller", async () => {
    server.playModels(list({ id: "the-model", max_model_len: 4096 }));
    expect((await start(name, server.baseUrl)).describe().contextTokens).toBe(4096);
    expect(lines.join()).toContain(settingOf[name]);
    server.playModels(list({ id: "of another name", meta: { n_ctx: 1024 } }));
    expect((await start(name, server.baseUrl)).describe().contextTokens).toBe(1024);
  });

  it("logs a warning for an unlisted model and succeeds", async () => {
    server.playModels(list({ id: "one" }, { id: "two" }));
    const started = await start(name, server.baseUrl);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"listed":["one","two"]');
    expect(textOf(await answerOf(started, chatRequest("Hi")))).toBe(answerText);
  });

  it("accepts a name listed by Ollama with the tag latest", async () => {
    server.playModels(list({ id: "one" }, { id: "the-model:latest" }));
    await start(name, server.baseUrl);
    expect(lines).toEqual([]);
  });

  it("fails if the key is rejected", async () => {
    server.playModels(status(401, { error: { message: `bad key ${secretKey}` } }));
    const started = start(name, server.baseUrl);
    await expect(started).rejects.toMatchObject({ code: "provider_auth", provider: name });
    await expect(started).rejects.not.toThrow(secretKey);
  });

  it.each<[string, FaultScript, number]>([
    ["no list", status(404), 0],
    ["a key without access to the list", status(403), 0],
    ["a web page", status(200, "<html>"), 0],
    ["a list of another shape", status(200, { models: [] }), 0],
    ["an overload", status(503), 1],
    ["a cut", { steps: [{ cut: true }] }, 1],
  ])("succeeds despite %s", async (_, script, warnings) => {
    server.playModels(script);
    const started = await start(name, server.baseUrl);
    expect(lines).toHaveLength(warnings);
    expect(textOf(await answerOf(started, chatRequest("Hi")))).toBe(answerText);
  });

  it("succeeds without a server and logs no credentials", async () => {
    await server.goDown();
    const { baseUrl } = server;
    const own = await start(name, baseUrl.replace("://", `://user:${secretKey}@`), "");
    expect(own.name).toBe(name);
    expect(lines.join()).toContain("ECONNREFUSED");
    expect(lines.join()).not.toContain(secretKey);
    await server.comeUp();
    expect(textOf(await answerOf(own, chatRequest("Hi")))).toBe(answerText);
  });
});

describe("the start of huggingface with the router", () => {
  /** Redirects requests for the router to the fault server. */
  beforeEach(() => {
    const real = globalThis.fetch;
    vi.spyOn(globalThis, "fetch").mockImplementation((input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      if (url.host !== "router.huggingface.co") throw new Error(`a call to ${url.host}`);
      return real(new URL(url.pathname, server.baseUrl), init);
    });
  });

  it("requests one token", async () => {
    await start("huggingface", undefined);
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]?.path).toBe("/v1/chat/completions");
    expect(server.requests[0]?.body).toMatchObject({ model: "the-model", max_tokens: 1 });
    expect(lines).toEqual([]);
  });

  it("fails if the model is not supported, and states what to do", async () => {
    const error = {
      message: "The requested model is not supported",
      code: "model_not_supported",
      param: "model",
    };
    server.play(status(400, { error }));
    const message = await start("huggingface", undefined).then(
      () => "it started",
      (thrown: unknown) => (thrown as Error).message,
    );
    expect(message).toContain("HF_MODEL");
    expect(message).toContain("https://huggingface.co/models?inference_provider=all");
    expect(message).toContain("AI_PROVIDER=local");
  });

  it.each([
    ["a refused key", status(401), "provider_auth"],
    ["an account without credit", status(402), "provider_quota"],
  ])("fails with %s", async (_, script, code) => {
    server.play(script);
    await expect(start("huggingface", undefined)).rejects.toMatchObject({ code });
  });

  it("succeeds despite a temporary failure", async () => {
    server.play(status(503), whole());
    const started = await start("huggingface", undefined);
    expect(lines).toHaveLength(1);
    expect(textOf(await answerOf(started, chatRequest("Hi")))).toBe(answerText);
  });

  it("fails without a request if the key is not a Hugging Face token", async () => {
    await expect(start("huggingface", undefined, "sk-other")).rejects.toMatchObject({
      code: "provider_auth",
    });
    expect(server.requests).toHaveLength(0);
  });
});
