import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerTokens, cutAfter, slowDrip, stallAfter, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultScript, type FaultServer } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";

/** Limit in milliseconds. The target is 50 ms, measured by `npm run bench -- outage`; a busy machine needs more. */
const MAX_MS = 10_000;

const long = Array.from({ length: 10 }, () => answerTokens).flat();
/** An answer of 20 s. */
const slowly = slowDrip(150, long);

describe("a cancel of a remote answer", () => {
  let upstream: FaultServer;
  let next: FaultServer;
  let service: Service;
  let chat: ChatSocket;

  beforeAll(async () => {
    [upstream, next] = await Promise.all([startFaultServer(), startFaultServer()]);
    service = await startService({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "huggingface",
      OPENAI_API_KEY: "sk-never-to-be-seen-0123456789",
      OPENAI_BASE_URL: upstream.baseUrl,
      HF_API_KEY: "hf-never-to-be-seen-0123456789",
      HF_BASE_URL: next.baseUrl,
      AI_RETRY_WAIT_SECONDS: "5",
      AI_BREAKER_FAILURES: "10000",
    });
    chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
  });

  beforeEach(() => next.play(whole()));

  afterAll(async () => {
    await chat.close();
    await service.stop();
    await Promise.all([upstream.close(), next.close()]);
  });

  /** Cancels after `ready`. Expects that the upstream connection closes and that no other provider gets the request. */
  async function cancel(server: FaultServer, id: string, ready: () => Promise<unknown>): Promise<void> {
    const index = server.requests.length;
    const requestsBefore = next.requests.length;
    chat.send({ message: "tell me", id, conversation: id });
    await ready();
    const request = await server.request(index);
    const hops = chat.frames.filter(({ type }) => type === "fallback").length;
    const at = performance.now();
    chat.send({ type: "cancel", id, conversation: id });
    const end = await chat.next(({ type, id: of }) => of === id && (type === "message" || type === "error"));
    expect(end).toMatchObject({ type: "message", finish_reason: "cancelled" });
    await request.over;
    expect(request.abandoned).toBe(true);
    expect((request.abandonedAt as number) - at).toBeLessThan(MAX_MS);
    await delay(50);
    expect(chat.frames.filter(({ type }) => type === "fallback")).toHaveLength(hops);
    if (server === upstream) expect(next.requests).toHaveLength(requestsBefore);
    expect([upstream.running, next.running]).toEqual([0, 0]);
  }

  const token = (id: string) => () => chat.next(({ type, id: of }) => type === "token" && of === id);

  it.each([
    ["before the response head", stallAfter(-1), 0],
    ["before the first token", stallAfter(0), 0],
    ["in the middle of the text", slowly, 1],
    ["during a stall in the middle of the text", stallAfter(3), 1],
  ] as [string, FaultScript, number][])("%s stops the upstream request", async (name, script, tokens) => {
    upstream.play(script);
    const id = name.replaceAll(" ", "-");
    const requestsBefore = upstream.requests.length;
    await cancel(upstream, id, tokens > 0 ? token(id) : () => upstream.request(requestsBefore));
    expect(chat.frames.filter((frame) => frame["id"] === id).at(-1)).toMatchObject({ type: "message" });
  });

  it("in the pause before a retry prevents any further request", async () => {
    upstream.play(status(429, { error: { message: "no" } }, { "retry-after": "4" }));
    const requestsBefore = upstream.requests.length;
    chat.send({ message: "tell me", id: "pause", conversation: "pause" });
    await (
      await upstream.request(requestsBefore)
    ).over;
    await delay(50);
    chat.send({ type: "cancel", id: "pause", conversation: "pause" });
    const end = await chat.next(({ id, type }) => id === "pause" && type === "message");
    expect(end).toMatchObject({ finish_reason: "cancelled", content: "" });
    const frames = chat.frames.filter(({ id }) => id === "pause").map(({ type }) => type);
    expect(frames).toEqual(["message"]);
    await delay(100);
    expect([upstream.requests.length - requestsBefore, next.running]).toEqual([1, 0]);
  });

  it.each([
    ["while the next provider sends nothing", stallAfter(-1)],
    ["while the beginning of the continuation is held back", slowly],
  ] as [string, FaultScript][])(
    "%s stops the next provider and keeps the text so far",
    async (name, script) => {
      const id = name.replaceAll(" ", "-");
      upstream.play(cutAfter(4));
      next.play(script);
      const requestsBefore = next.requests.length;
      await cancel(next, id, async () => {
        await next.request(requestsBefore);
        await delay(400);
      });
      const end = chat.frames.findLast((frame) => frame.type === "message" && frame["id"] === id);
      expect(end?.["content"]).toBe(answerTokens.slice(0, 4).join(""));
    },
  );
});
