import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { ErrorCode } from "../../src/core/error-codes.ts";
import { reportOf } from "../../src/core/errors.ts";
import { withDeadline } from "../../src/providers/deadline.ts";
import { ProviderError } from "../../src/providers/provider-error.ts";
import type { ChatProvider, ChatRequest, StreamPart } from "../../src/providers/provider.ts";
import { chatRequest, collect, textOf } from "../support/chat-request.ts";
import {
  answerText,
  answerTokens,
  answerUsage,
  bareEnding,
  cutAfter,
  duplicateFinal,
  endAfter,
  finishedBy,
  inBandError,
  noFinishReason,
  slowDrip,
  splitEvery,
  splitSurrogates,
  stallAfter,
  status,
  truncatedJson,
  whole,
  wrongContentType,
} from "../support/fault-scripts.ts";
import { startFaultServer, type FaultScript, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, remoteProvider, secretKey } from "../support/remote-provider.ts";

const userText = "My secret diary says xyzzy";
const echoed = `You sent: ${userText} with ${secretKey}`;

interface Expected {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly status?: number;
}

interface Outcome {
  readonly parts: StreamPart[];
  readonly error: unknown;
}

async function run(provider: ChatProvider, request: ChatRequest = chatRequest(userText)): Promise<Outcome> {
  const parts: StreamPart[] = [];
  try {
    for await (const part of provider.stream(request, { signal: new AbortController().signal })) {
      parts.push(part);
    }
    return { parts, error: undefined };
  } catch (error) {
    return { parts, error };
  }
}

const error = (fields: object) => ({ error: { message: echoed, ...fields } });

/** Every script that must fail, and how. Bodies quote the user's text and the key, as some servers do. */
const faults: readonly (readonly [string, FaultScript, Expected])[] = [
  ["cut before the first token", cutAfter(0), { code: "bad_answer", retryable: true }],
  ["cut after 3 tokens", cutAfter(3), { code: "bad_answer", retryable: true }],
  ["cut before the head", { steps: [{ cut: true }] }, { code: "provider_unavailable", retryable: true }],
  ["ended without a token", endAfter(0), { code: "bad_answer", retryable: true }],
  ["ended after 3 tokens", endAfter(3), { code: "bad_answer", retryable: true }],
  ["[DONE] without a finish reason", noFinishReason(), { code: "bad_answer", retryable: true }],
  ["an unknown finish reason", finishedBy("abort"), { code: "bad_answer", retryable: true }],
  ["a tool call as finish reason", finishedBy("tool_calls"), { code: "bad_answer", retryable: true }],
  ["the content filter", finishedBy("content_filter"), { code: "content_refused", retryable: false }],
  ["truncated JSON", truncatedJson(), { code: "bad_answer", retryable: true }],
  ["a web page", wrongContentType(), { code: "bad_answer", retryable: true }],
  [
    "JSON with an error and status 200",
    status(200, error({ code: "rate_limit_exceeded" })),
    { code: "provider_rate_limited", retryable: true },
  ],
  [
    "a line without end",
    { steps: Array.from({ length: 40 }, () => ({ send: "x".repeat(65_536) })) },
    { code: "bad_answer", retryable: true },
  ],
  ["an error first in the stream", inBandError(0), { code: "provider_unavailable", retryable: true }],
  ["an error amid the stream", inBandError(4), { code: "provider_unavailable", retryable: true }],
  ["an error text amid the stream", inBandError(4, echoed), { code: "bad_answer", retryable: true }],
  [
    "vLLM's error amid the stream",
    inBandError(2, { message: echoed, type: "InternalServerError", code: 500 }),
    { code: "provider_unavailable", retryable: true, status: 500 },
  ],
  ["400", status(400, error({})), { code: "bad_request", retryable: false, status: 400 }],
  [
    "400 with a context too long",
    status(400, error({ code: "context_length_exceeded" })),
    { code: "prompt_too_long", retryable: false, status: 400 },
  ],
  [
    "400 in llama-server's words",
    status(400, { error: { code: 400, message: "too long", type: "exceed_context_size_error" } }),
    { code: "prompt_too_long", retryable: false },
  ],
  [
    "400 in vLLM's words",
    status(400, {
      object: "error",
      message: "This model's maximum context length is 2048 tokens.",
      code: 400,
    }),
    { code: "prompt_too_long", retryable: false },
  ],
  [
    "400 with refused content",
    status(400, error({ code: "content_filter" })),
    { code: "content_refused", retryable: false },
  ],
  [
    "400 with a model that the router does not have",
    status(400, error({ code: "model_not_supported" })),
    { code: "bad_request", retryable: false },
  ],
  [
    "401",
    status(401, error({ code: "invalid_api_key" })),
    { code: "provider_auth", retryable: false, status: 401 },
  ],
  ["402", status(402, error({})), { code: "provider_quota", retryable: false, status: 402 }],
  ["403", status(403, error({})), { code: "provider_auth", retryable: false, status: 403 }],
  [
    "404",
    status(404, error({ code: "model_not_found" })),
    { code: "bad_request", retryable: false, status: 404 },
  ],
  ["404 as a web page", status(404, "<h1>Not found</h1>"), { code: "bad_request", retryable: false }],
  ["408", status(408), { code: "provider_unavailable", retryable: true, status: 408 }],
  ["409", status(409), { code: "bad_request", retryable: false, status: 409 }],
  ["413", status(413), { code: "prompt_too_long", retryable: false, status: 413 }],
  [
    "422 of FastAPI, which quotes the request",
    status(422, { detail: [{ loc: ["body", "seed"], msg: "bad", input: { text: echoed } }] }),
    { code: "bad_request", retryable: false, status: 422 },
  ],
  ["429", status(429, error({})), { code: "provider_rate_limited", retryable: true, status: 429 }],
  [
    "429 with seconds to wait",
    status(429, error({}), { "retry-after": "7" }),
    { code: "provider_rate_limited", retryable: true, retryAfterMs: 7000 },
  ],
  [
    "429 without credit",
    status(429, error({ type: "insufficient_quota", code: "insufficient_quota" })),
    { code: "provider_quota", retryable: false, status: 429 },
  ],
  ["500", status(500, error({})), { code: "provider_unavailable", retryable: true, status: 500 }],
  ["502 as a web page", status(502, `<p>${echoed}</p>`), { code: "provider_unavailable", retryable: true }],
  [
    "503 with seconds to wait",
    status(503, error({}), { "retry-after": "2" }),
    { code: "provider_unavailable", retryable: true, retryAfterMs: 2000, status: 503 },
  ],
  [
    "529",
    status(529, error({ type: "overloaded_error" })),
    { code: "provider_unavailable", retryable: true },
  ],
  [
    "a redirect to elsewhere",
    { status: 307, headers: { location: "http://127.0.0.1:9/v1" }, steps: [] },
    { code: "bad_request", retryable: false, status: 307 },
  ],
];

/** Every script that looks odd and must give the whole answer. */
const oddities: readonly (readonly [string, FaultScript])[] = [
  ["split after every byte", splitEvery(1)],
  ["split after every 7 bytes", splitEvery(7)],
  ["a slow drip", slowDrip(5)],
  ["a last chunk that comes twice", duplicateFinal()],
  ["no usage and no [DONE]", bareEnding("end")],
  ["a cut right after the finish reason", bareEnding("cut")],
  ["TGI's finish reason", finishedBy("eos_token")],
];

describe.each(remoteNames)("%s meets a fault:", (name) => {
  let server: FaultServer;
  let provider: ChatProvider;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());
  beforeEach(() => void (provider = remoteProvider(name, server.baseUrl)));
  afterEach(() => provider.close());

  it.each(faults)("%s", async (_, script, expected) => {
    const printed = ["log", "info", "warn", "error", "debug"].map((method) =>
      vi.spyOn(console, method as "log").mockImplementation(() => undefined),
    );
    const before = server.requests.length;
    server.play(script);
    const { parts, error: thrown } = await run(provider);
    expect(thrown).toBeInstanceOf(ProviderError);
    expect(thrown).toMatchObject({ provider: name, ...expected });
    expect(server.requests).toHaveLength(before + 1);
    expect(parts.map(({ type }) => type)).not.toContain("finish");
    expect(answerText.startsWith(textOf(parts))).toBe(true);
    // Whatever is shown or logged of it: no key, no text of the user, nothing of the upstream's body.
    const shown = [inspect(thrown, { depth: 20, showHidden: true }), JSON.stringify(reportOf(thrown))];
    for (const text of [...shown, JSON.stringify(provider.health())]) {
      for (const hidden of [secretKey, "xyzzy", "You sent", server.baseUrl])
        expect(text).not.toContain(hidden);
    }
    for (const spy of printed) expect(spy).not.toHaveBeenCalled();
  });

  it.each(oddities)("%s, and gives the whole answer", async (_, script) => {
    server.play(script);
    const { parts, error: thrown } = await run(provider);
    expect(thrown).toBeUndefined();
    expect(textOf(parts)).toBe(answerText);
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
  });

  it("the cut at every token, and never takes it for a whole answer", async () => {
    for (let n = 0; n <= answerTokens.length; n++) {
      server.play(endAfter(n));
      const { parts, error: thrown } = await run(provider);
      expect(thrown).toMatchObject({ code: "bad_answer" });
      expect(textOf(parts)).toBe(answerTokens.slice(0, n).join(""));
    }
  });

  it("halves of a character in two chunks, and joins them", async () => {
    server.play(splitSurrogates());
    const { parts } = await run(provider);
    const texts = parts.flatMap((part) => (part.type === "text-delta" ? [part.text] : []));
    expect(texts).toEqual(["a", "\u{1f600}b"]);
  });

  it("a server that keeps the stream open after the finish reason, and does not wait for it", async () => {
    server.play(bareEnding("stall"));
    const begin = performance.now();
    const { parts } = await run(provider);
    expect(textOf(parts)).toBe(answerText);
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
    expect(performance.now() - begin).toBeLessThan(3000);
  });

  it("Retry-After as a date", async () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    server.play(status(429, {}, { "retry-after": date }));
    const { error: thrown } = await run(provider);
    const { retryAfterMs } = thrown as ProviderError;
    expect(retryAfterMs).toBeGreaterThan(55_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it("an error body without end, and reads only its beginning", async () => {
    const flood = Array.from({ length: 64 }, () => ({ send: "y".repeat(65_536) }));
    server.play({ status: 500, headers: {}, steps: [...flood, { stall: true }] });
    const { error: thrown } = await run(provider);
    expect(thrown).toMatchObject({ code: "provider_unavailable", status: 500 });
  });

  it.each([
    ["before the head", -1],
    ["before the first token", 0],
    ["amid the text", 4],
  ])("a stall %s, which the deadline ends", async (_, n) => {
    server.play(stallAfter(n));
    const first = server.requests.length;
    const limited = withDeadline(provider, 150, systemClock);
    const { parts, error: thrown } = await run(limited);
    expect(thrown).toMatchObject({ code: "provider_timeout", retryable: true, provider: name });
    expect(textOf(parts)).toBe(answerTokens.slice(0, Math.max(n, 0)).join(""));
    const seen = await server.request(first);
    await seen.over;
    expect(seen.abandoned).toBe(true);
  });

  it("a cancel in each phase, and closes the connection within 500 ms", async () => {
    for (const n of [-1, 0, 4]) {
      server.play(stallAfter(n));
      const controller = new AbortController();
      const answer = collect(provider.stream(chatRequest("x"), { signal: controller.signal }));
      const seen = await server.request(server.requests.length);
      setTimeout(() => controller.abort(new Error("enough")), 30);
      await expect(answer).rejects.toThrow("enough");
      const at = performance.now();
      await seen.over;
      expect(seen.abandoned).toBe(true);
      expect((seen.abandonedAt ?? Number.POSITIVE_INFINITY) - at).toBeLessThan(500);
    }
  });

  it("a refused connection", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const { error: thrown } = await run(
      remoteProvider(name, `http://user:${secretKey}@127.0.0.1:${port}/v1`),
    );
    expect(thrown).toMatchObject({ code: "provider_unavailable", retryable: true });
    expect((thrown as Error).message).toContain("ECONNREFUSED");
    expect(inspect(thrown)).not.toContain(secretKey);
  });

  it("an unknown host", async () => {
    const { error: thrown } = await run(remoteProvider(name, "http://no-such-host.invalid/v1"));
    expect(thrown).toMatchObject({ code: "provider_unavailable", retryable: true });
  });

  it("plain HTTP where TLS was expected", async () => {
    const { error: thrown } = await run(remoteProvider(name, server.baseUrl.replace("http:", "https:")));
    expect(thrown).toMatchObject({ code: "provider_unavailable", retryable: true });
  });

  it("none, and reports the server's usage", async () => {
    server.play(whole());
    const { parts } = await run(provider);
    expect(parts.at(-1)).toEqual({
      type: "finish",
      reason: "stop",
      usage: {
        promptTokens: answerUsage.prompt_tokens,
        completionTokens: answerUsage.completion_tokens,
        cachedTokens: 8,
      },
    });
  });
});
