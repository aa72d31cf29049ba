import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ProviderError } from "../../src/providers/provider-error.ts";
import type { ChatProvider, ChatRequest } from "../../src/providers/provider.ts";
import { chainedProvider } from "../support/chain.ts";
import { chatRequest, collect, textOf } from "../support/chat-request.ts";
import {
  answerText,
  answerTokens,
  answerUsage,
  bareEnding,
  endAfter,
  splitSurrogates,
  stallAfter,
  status,
  whole,
} from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, remoteProvider } from "../support/remote-provider.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

interface Outcome {
  readonly parts: SeenPart[];
  readonly error: unknown;
}

async function run(provider: ChatProvider, request: ChatRequest = chatRequest("Where?")): Promise<Outcome> {
  const parts: SeenPart[] = [];
  try {
    for await (const part of partsOf(provider, request)) {
      parts.push(part);
    }
    return { parts, error: undefined };
  } catch (error) {
    return { parts, error };
  }
}

describe.each(remoteNames)("the %s provider", (name) => {
  let server: FaultServer;
  let provider: ChatProvider;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());
  beforeEach(() => void (provider = remoteProvider(name, server.baseUrl)));
  afterEach(() => provider.close());

  it("never treats a stream that ends after any token as a whole answer", async () => {
    for (let n = 0; n <= answerTokens.length; n++) {
      server.play(endAfter(n));
      const { parts, error: thrown } = await run(provider);
      expect(thrown).toMatchObject({ code: "bad_answer" });
      expect(textOf(parts)).toBe(answerTokens.slice(0, n).join(""));
    }
  });

  it("joins a surrogate pair that is split over two chunks", async () => {
    server.play(splitSurrogates());
    const { parts } = await run(provider);
    const texts = parts.flatMap((part) => (part.type === "text-delta" ? [part.text] : []));
    expect(texts).toEqual(["a", "\u{1f600}b"]);
  });

  it("does not wait for a server that keeps the stream open after the finish reason", async () => {
    server.play(bareEnding("stall"));
    const { parts } = await run(provider);
    expect(textOf(parts)).toBe(answerText);
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" });
  });

  it("reads Retry-After as a date", async () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    server.play(status(429, {}, { "retry-after": date }));
    const { error: thrown } = await run(provider);
    const { retryAfterMs } = thrown as ProviderError;
    expect(retryAfterMs).toBeGreaterThan(30_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it("reads only the beginning of an endless error body", async () => {
    const flood = Array.from({ length: 64 }, () => ({ send: "y".repeat(65_536) }));
    server.play({ status: 500, headers: {}, steps: [...flood, { stall: true }] });
    const { error: thrown } = await run(provider);
    expect(thrown).toMatchObject({ code: "provider_unavailable", status: 500 });
  });

  it.each([
    ["before the head", -1],
    ["before the first token", 0],
    ["in the middle of the text", 4],
  ])("is stopped by the deadline on a stall %s", async (_, n) => {
    server.play(stallAfter(n));
    const first = server.requests.length;
    // Only the deadline of the phase that stalls is short.
    const limited = chainedProvider(provider, {
      deadlines: { firstTokenMs: n > 0 ? 20_000 : 500, gapMs: 500, totalMs: 60_000 },
    });
    const { parts, error: thrown } = await run(limited);
    expect(thrown).toMatchObject({ code: "provider_timeout", retryable: true, provider: name });
    expect(textOf(parts)).toBe(answerTokens.slice(0, Math.max(n, 0)).join(""));
    const seen = await server.request(first);
    await seen.over;
    expect(seen.abandoned).toBe(true);
  });

  it("closes the connection soon after a cancel in each phase", async () => {
    for (const n of [-1, 0, 4]) {
      server.play(stallAfter(n));
      const controller = new AbortController();
      const answer = collect(partsOf(provider, chatRequest("x"), { signal: controller.signal }));
      const seen = await server.request(server.requests.length);
      setTimeout(() => controller.abort(new Error("enough")), 30);
      await expect(answer).rejects.toThrow("enough");
      const at = performance.now();
      await seen.over;
      expect(seen.abandoned).toBe(true);
      expect((seen.abandonedAt ?? Number.POSITIVE_INFINITY) - at).toBeLessThan(5000);
    }
  });

  it("reports the usage of the server for a whole answer", async () => {
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
