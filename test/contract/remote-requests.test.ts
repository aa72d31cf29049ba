import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../src/core/logger.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { answerText, finishedBy, slowDrip, status, whole } from "../support/fault-scripts.ts";
import {
  startFaultServer,
  type FaultPlan,
  type FaultScript,
  type FaultServer,
} from "../support/fault-server.ts";
import { remoteNames, remoteProvider, secretKey } from "../support/remote-provider.ts";

const schema = {
  type: "object",
  properties: { mood: { enum: ["good", "bad"] } },
  required: ["mood"],
  additionalProperties: false,
};
const json = '{"mood":"good"}';

/** A server that rejects requests with one of the fields, like strict servers, and answers all others. */
function rejecting(fields: readonly string[], answer: FaultScript): FaultPlan {
  return ({ body }) => {
    const field = fields.find((name) => name in body);
    if (field === undefined) return answer;
    const message = `Unsupported parameter: '${field}' is not supported with this model.`;
    return status(400, { error: { message, type: "invalid_request_error", param: field } });
  };
}

describe.each(remoteNames)("the %s provider", (name) => {
  let server: FaultServer;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    server.play(whole());
    provider = remoteProvider(name, server.baseUrl);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });
  const body = (index: number) => server.requests.at(index)?.body ?? {};

  it("sends system text and context as one system message, then the turns", async () => {
    await answerOf(
      provider,
      chatRequest("", {
        system: "Be kind.",
        context: "I am Ada.",
        turns: [
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Hello" },
          { role: "user", content: "Who am I?" },
        ],
        maxTokens: 77,
        sampling: { temperature: 0, topP: 0.5, seed: 7 },
      }),
    );
    expect(server.requests[0]?.path).toBe("/v1/chat/completions");
    expect(body(0)).toEqual({
      model: "model-under-test",
      messages: [
        { role: "system", content: "Be kind.\n\nContext from the user:\nI am Ada." },
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello" },
        { role: "user", content: "Who am I?" },
      ],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 77,
      temperature: 0,
      top_p: 0.5,
      seed: 7,
    });
  });

  it("sends no system message if it would be empty", async () => {
    await answerOf(provider, chatRequest("Hi", { system: "" }));
    expect(body(0).messages).toEqual([{ role: "user", content: "Hi" }]);
  });

  it("sends its key only in the header", async () => {
    await answerOf(provider, chatRequest("Hi"));
    const { headers, path } = server.requests[0] ?? {};
    expect(headers?.authorization).toBe(`Bearer ${secretKey}`);
    const others = { ...headers, authorization: "" };
    expect(JSON.stringify([others, path, body(0)])).not.toContain(secretKey);
  });

  it("sends no authorization without a key", async () => {
    await answerOf(remoteProvider(name, server.baseUrl, { apiKey: undefined }), chatRequest("Hi"));
    expect(server.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  it("removes credentials from the base URL and sends them in a header", async () => {
    const url = server.baseUrl.replace("http://", "http://ada:p%40ss@");
    await answerOf(remoteProvider(name, url, { apiKey: undefined }), chatRequest("Hi"));
    const expected = `Basic ${Buffer.from("ada:p@ss").toString("base64")}`;
    expect(server.requests[0]?.headers.authorization).toBe(expected);
  });

  it("accepts a base URL with a trailing slash", async () => {
    await answerOf(remoteProvider(name, `${server.baseUrl}/`), chatRequest("Hi"));
    expect(server.requests[0]?.path).toBe("/v1/chat/completions");
  });

  it("drops the oldest turns that do not fit and reports their number", async () => {
    const turns = Array.from({ length: 21 }, (_, index) => ({
      role: index % 2 === 0 ? ("user" as const) : ("assistant" as const),
      content: `${index} ${"word ".repeat(60)}`,
    }));
    const small = remoteProvider(name, server.baseUrl, { contextTokens: 1000 });
    const [started] = await answerOf(small, chatRequest("", { turns, maxTokens: 100 }));
    const sent = body(0).messages ?? [];
    expect(started).toMatchObject({ type: "started", droppedTurns: turns.length - (sent.length - 1) });
    expect(sent.length).toBeGreaterThan(1);
    expect(sent.length).toBeLessThan(turns.length);
    expect(sent.at(-1)).toEqual(turns.at(-1));
    expect(sent[1]?.role).toBe("user");
  });

  it("refuses a message that does not fit without sending a request", async () => {
    const small = remoteProvider(name, server.baseUrl, { contextTokens: 600 });
    const answer = answerOf(small, chatRequest("long ".repeat(1000)));
    await expect(answer).rejects.toMatchObject({ code: "prompt_too_long", provider: name, retryable: false });
    expect(server.requests).toHaveLength(0);
  });

  it("continues another provider's text with an instruction that is never dropped", async () => {
    const turns = Array.from({ length: 20 }, () => ({ role: "user" as const, content: "x".repeat(300) }));
    const small = remoteProvider(name, server.baseUrl, { contextTokens: 1000 });
    await answerOf(small, chatRequest("", { turns, continueFrom: "Once upon" }));
    const sent = body(0).messages ?? [];
    expect(sent.at(-3)?.role).toBe("user");
    expect(sent.at(-2)).toEqual({ role: "assistant", content: "Once upon" });
    expect(sent.at(-1)?.content).toContain("Continue");
  });

  it("ends at a stop text, even one not sent to the server, and closes the connection", async () => {
    server.play(slowDrip(5, ["Hello", " a", "b", "c", "d", " and", " so", " on", " and", " on"]));
    const stop = ["1", "2", "3", "4", "bcd"];
    const parts = await answerOf(provider, chatRequest("Hi", { sampling: { stop } }));
    expect(textOf(parts)).toBe("Hello a");
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
    expect(body(0)["stop"]).toEqual(["1", "2", "3", "4"]);
    await server.requests[0]?.over;
    expect(server.requests[0]?.abandoned).toBe(true);
  });

  it("reports an answer cut by the token limit", async () => {
    server.play(finishedBy("length"));
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "length" });
  });

  it("switches to max_completion_tokens if max_tokens is rejected, also for later requests", async () => {
    server.play(rejecting(["max_tokens"], whole()));
    expect(textOf(await answerOf(provider, chatRequest("Hi", { maxTokens: 90 })))).toBe(answerText);
    expect(server.requests).toHaveLength(2);
    expect(body(1)).toMatchObject({ max_completion_tokens: 90 });
    await answerOf(provider, chatRequest("Hi"));
    expect(server.requests).toHaveLength(3);
  });

  it("omits stream_options if they are rejected, and estimates the usage", async () => {
    server.play(rejecting(["stream_options"], { steps: whole().steps.slice(0, -2) }));
    const parts = await answerOf(provider, chatRequest("Hi"));
    expect(body(-1)).not.toHaveProperty("stream_options");
    const finish = parts.at(-1);
    if (finish?.type !== "finish") throw new Error("no finish");
    const tokens = parts.reduce((sum, part) => sum + (part.type === "text-delta" ? part.tokens : 0), 0);
    expect(finish.usage).toMatchObject({ completionTokens: tokens, cachedTokens: 0, estimated: true });
    expect(finish.usage.promptTokens).toBeGreaterThan(8);
  });

  it("adapts to several rejected parameters in one answer", async () => {
    server.play(rejecting(["stream_options", "max_tokens", "response_format"], whole([json])));
    const parts = await answerOf(provider, chatRequest("Hi", { jsonSchema: schema }));
    expect(textOf(parts)).toBe(json);
    expect(server.requests).toHaveLength(4);
  });

  it("does not retry if the server rejects a value, and names the parameter", async () => {
    const message = "temperature: must be between 0 and 1.";
    server.play(status(400, { error: { message, code: "invalid_value", param: "temperature" } }));
    const answer = answerOf(provider, chatRequest("Hi", { sampling: { temperature: 1.5 } }));
    await expect(answer).rejects.toMatchObject({
      code: "bad_request",
      message: expect.stringContaining("parameter temperature") as string,
    });
    expect(server.requests).toHaveLength(1);
  });

  it("omits sampling parameters that the server does not support, also in later requests", async () => {
    server.play(rejecting(["temperature", "stop", "max_tokens"], whole()));
    const request = chatRequest("Hi", { sampling: { temperature: 1, topP: 0.9, stop: ["xyz"] } });
    expect(textOf(await answerOf(provider, request))).toBe(answerText);
    expect(server.requests).toHaveLength(4);
    expect(body(-1)).toMatchObject({ top_p: 0.9, max_completion_tokens: 256 });
    expect(body(-1)).not.toHaveProperty("temperature");
    expect(body(-1)).not.toHaveProperty("stop");
    await answerOf(provider, request);
    expect(server.requests).toHaveLength(5);
  });

  it("fails and keeps the first dialect if the server accepts no dialect", async () => {
    server.play(rejecting(["max_tokens", "max_completion_tokens"], whole()));
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toMatchObject({ code: "bad_request" });
    expect(server.requests).toHaveLength(2);
    server.play(whole());
    await answerOf(provider, chatRequest("Hi"));
    expect(body(-1)).toHaveProperty("max_tokens");
  });

  it("requests JSON with response_format, in strict mode if the schema allows it", async () => {
    server.play(whole(['{"mood"', ":", '"good"}']));
    const parts = await answerOf(provider, chatRequest("Hi", { jsonSchema: schema }));
    expect(textOf(parts)).toBe(json);
    const format = (strict: boolean, wanted: object) => ({
      type: "json_schema",
      json_schema: { name: "answer", schema: wanted, strict },
    });
    expect(body(0)["response_format"]).toEqual(format(true, schema));
    const loose = { type: "object", properties: { a: { type: "string" } } };
    await answerOf(provider, chatRequest("Hi", { jsonSchema: loose }));
    expect(body(1)["response_format"]).toEqual(format(false, loose));
  });

  it("requests JSON in the prompt if response_format is rejected, and removes a code fence", async () => {
    server.play(rejecting(["response_format"], whole(["```json\n", json, "\n```"])));
    const parts = await answerOf(provider, chatRequest("Hi", { jsonSchema: schema }));
    expect(textOf(parts)).toBe(json);
    expect(body(1).messages?.[0]?.content).toContain(JSON.stringify(schema));
  });

  it("is remote unless its address is a loopback address", () => {
    expect(provider.remote).toBe(false);
    expect(remoteProvider(name, "http://localhost:1/v1").remote).toBe(false);
    expect(remoteProvider(name, "http://[::1]:1/v1").remote).toBe(false);
    expect(remoteProvider(name, "https://127.example.org/v1").remote).toBe(true);
    expect(remoteProvider(name, undefined).remote).toBe(true);
  });

  it("reports the outcome of the last request in its health", async () => {
    server.play(status(401));
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toThrow();
    expect(provider.health()).toMatchObject({ state: "down" });
    server.play(status(500));
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toThrow();
    expect(provider.health()).toMatchObject({ state: "degraded" });
    server.play(whole());
    await answerOf(provider, chatRequest("Hi"));
    expect(provider.health()).toEqual({ state: "ready", reason: "" });
    server.play(status(400));
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toThrow();
    expect(provider.health().state).toBe("ready");
  });

  it("logs a change of its dialect without text of the request", async () => {
    const lines: unknown[] = [];
    const logger = { ...silentLogger, info: (...line: unknown[]) => void lines.push(line) };
    const logging = remoteProvider(name, server.baseUrl, { deps: { logger } });
    server.play(rejecting(["max_tokens"], whole()));
    await answerOf(logging, chatRequest("xyzzy"));
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("xyzzy");
  });
});
