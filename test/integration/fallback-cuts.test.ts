import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { seenAnswer } from "../support/fallbacks.ts";
import { answerTokens, cutAfter } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const MAX_TOKENS = 60;
/** Contains accents, an emoji and a line break, so that a cut hits every kind of character. */
const tokens = Array.from(
  { length: MAX_TOKENS },
  (_, index) => answerTokens[index % answerTokens.length] ?? "",
);
const OUTPUT = 100;

describe("a remote answer that is cut", () => {
  let upstream: FaultServer;
  let service: Service;
  let chat: ChatSocket;

  beforeAll(async () => {
    upstream = await startFaultServer();
    service = await startService({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "local",
      OPENAI_API_KEY: "sk-never-to-be-seen-0123456789",
      OPENAI_BASE_URL: upstream.baseUrl,
      AI_RETRIES: "1",
      AI_RETRY_WAIT_SECONDS: "0.05",
      AI_BREAKER_FAILURES: "10000",
      MODEL_PATH: await tinyModel(),
      MAX_OUTPUT_TOKENS: String(OUTPUT),
    });
    chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
  });

  afterAll(async () => {
    await chat.close();
    await service.stop();
    await upstream.close();
  });

  it("starts the local model, which was not running before", async () => {
    expect(service.log.some(({ msg }) => msg === "engine ready")).toBe(false);
    upstream.play(cutAfter(3, tokens));
    const end = await chat.ask("first", { conversation: "first" });
    expect(end).toMatchObject({ type: "message", provider: "local" });
    expect(service.log.some(({ msg }) => msg === "engine ready")).toBe(true);
  });

  it(`continues locally after any number of tokens up to ${MAX_TOKENS}, without a missing or duplicate byte`, async () => {
    for (let n = 0; n <= MAX_TOKENS; n++) {
      upstream.play(cutAfter(n, tokens));
      const end = await chat.ask(`cut after ${n}`, { conversation: `c${n}`, seed: n });
      const seen = seenAnswer(chat, end);
      const before = tokens.slice(0, n).join("");
      expect(end, `cut after ${n}`).toMatchObject({ type: "message", provider: "local" });
      expect(seen.before).toBe(before);
      expect(seen.fallbacks, `cut after ${n}`).toHaveLength(1);
      expect(seen.fallbacks[0]).toMatchObject({
        from_provider: "openai",
        to_provider: "local",
        at: Buffer.byteLength(before),
        phase: n === 0 ? "before_first_token" : "mid_stream",
      });
      expect(seen.text).toBe(seen.before + seen.after);
      const usage = end["usage"] as { completion_tokens: number };
      expect(usage.completion_tokens).toBeLessThanOrEqual(OUTPUT);
      if (end["finish_reason"] === "length") expect(usage.completion_tokens).toBe(OUTPUT);
    }
  });

  it("is requested again from the same provider only before the first token", () => {
    const counts = new Map<unknown, number>();
    for (const { body } of upstream.requests) {
      const content = body.messages?.at(-1)?.content;
      counts.set(content, (counts.get(content) ?? 0) + 1);
    }
    expect(counts.get("cut after 0")).toBe(2);
    for (let n = 1; n <= MAX_TOKENS; n++) expect(counts.get(`cut after ${n}`)).toBe(1);
  });

  it("is stored as a whole answer in the history", async () => {
    upstream.play(cutAfter(5, tokens));
    await chat.ask("question", { conversation: "history" });
    const content = chat.frames.findLast(({ type }) => type === "message")?.["content"];
    await chat.ask("and then?", { conversation: "history" });
    expect(upstream.requests.at(-1)?.body.messages?.at(-2)).toEqual({ role: "assistant", content });
  });
});
