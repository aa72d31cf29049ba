import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limitSpending } from "../../src/providers/spend-limited-provider.ts";
import { ProviderError } from "../../src/providers/provider-error.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { SpendGuard } from "../../src/providers/spend-guard.ts";
import { systemClock } from "../../src/core/clock.ts";
import { noMetrics } from "../../src/core/metrics.ts";
import { answerOf, chatRequest } from "../support/chat-request.ts";
import {
  answerUsage,
  bareEnding,
  cutAfter,
  slowDrip,
  stallAfter,
  status,
  whole,
} from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteProvider } from "../support/remote-provider.ts";
import { asRemote, guardOf } from "../support/remote-spending.ts";
import { providerContract } from "./provider-contract.ts";
import { partsOf } from "../support/parts-of.ts";

const spent = answerUsage.prompt_tokens + answerUsage.completion_tokens;
/** Tokens that the guard reserves for the prompt of `chatRequest("Hi")`: (10 + 4) + (1 + 4). */
const prompt = 19;

describe("a spend-limited provider", () => {
  let server: FaultServer;
  let guard: SpendGuard;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    server.play(whole());
    guard = guardOf(1000);
    provider = limitSpending(asRemote(remoteProvider("openai", server.baseUrl)), guard);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });

  it("is the unchanged provider if no text leaves this machine", () => {
    const own = remoteProvider("openai", server.baseUrl);
    expect(limitSpending(own, guard)).toBe(own);
  });

  it("reserves prompt and longest answer before the call, and settles with the usage of the server", async () => {
    let during = 0;
    server.play(() => {
      during = guard.usedToday();
      return whole();
    });
    await answerOf(provider, chatRequest("Hi", { maxTokens: 100 }));
    expect(during).toBe(prompt + 100);
    expect(guard.usedToday()).toBe(spent);
  });

  it("refuses with a ProviderError before anything is sent", async () => {
    const answer = answerOf(provider, chatRequest("Hi", { maxTokens: 1000 }));
    await expect(answer).rejects.toBeInstanceOf(ProviderError);
    await expect(answer).rejects.toMatchObject({ code: "spend_limit", provider: "openai" });
    expect(server.requests).toHaveLength(0);
    expect(guard.usedToday()).toBe(0);
  });

  it("counts the reasoning of an answer that was cut", async () => {
    const chunk = JSON.stringify({ choices: [{ delta: { reasoning_content: "r".repeat(300) } }] });
    server.play({ steps: [{ send: `data: ${chunk}\n\n` }] });
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toBeInstanceOf(ProviderError);
    expect(guard.usedToday()).toBe(prompt + 100);
  });

  it("never reserves more than the context window", async () => {
    const small = limitSpending(
      asRemote(remoteProvider("openai", server.baseUrl, { contextTokens: 600 })),
      guard,
    );
    let during = 0;
    server.play(() => {
      during = guard.usedToday();
      return whole();
    });
    const turns = Array.from({ length: 41 }, (_, index) => ({
      role: index % 2 === 0 ? ("user" as const) : ("assistant" as const),
      content: "a long text ".repeat(5),
    }));
    await answerOf(small, chatRequest("", { turns, maxTokens: 100 }));
    expect(during).toBe(600);
  });

  it.each([
    ["a whole answer without usage", bareEnding("end"), (used: number) => used > prompt && used < 100],
    ["a refusal", status(401), (used: number) => used === 0],
    ["an overload", status(503), (used: number) => used === 0],
    ["a cut before the first token", cutAfter(0), (used: number) => used === prompt],
    ["a cut in the middle of the text", cutAfter(5), (used: number) => used > prompt && used < 100],
  ])("settles the tokens of %s", async (_, script, holds) => {
    server.play(script);
    await answerOf(provider, chatRequest("Hi")).catch(() => undefined);
    expect(guard.usedToday()).toSatisfy(holds);
  });

  it("settles the tokens of a cancelled answer and of an answer whose reader stops", async () => {
    server.play(stallAfter(0));
    const controller = new AbortController();
    const answer = answerOf(provider, chatRequest("Hi"), controller.signal);
    await server.request(0);
    controller.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    expect(guard.usedToday()).toBe(prompt);
    server.play(slowDrip(5));
    for await (const part of partsOf(provider, chatRequest("Hi"))) {
      if (part.type === "text-delta") break;
    }
    expect(guard.usedToday()).toBeGreaterThan(2 * prompt);
    expect(guard.usedToday()).toBeLessThan(2 * prompt + 10);
  });
});

providerContract("a spend-limited provider", async () => {
  const server = await startFaultServer();
  const answer = ({ body }: FaultServer["requests"][number]) =>
    "response_format" in body ? ['{"mood":"good"}'] : [body.messages?.at(-1)?.content ?? ""];
  server.play((request) => whole(answer(request)));
  const guard = new SpendGuard({
    limits: { total: 1_000_000, client: 100_000, address: 100_000 },
    clock: systemClock,
    metrics: noMetrics,
  });
  return {
    provider: limitSpending(asRemote(remoteProvider("openai", server.baseUrl)), guard),
    slow: () => server.play((request) => slowDrip(25, [...answer(request), ..." and so on".repeat(20)])),
    close: () => server.close(),
  };
});
