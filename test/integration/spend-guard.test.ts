import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, answerUsage, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";

const A_DAY_MS = 86_400_000;
/** Tokens of one answer of the fault server, by its own usage. */
const COST = answerUsage.prompt_tokens + answerUsage.completion_tokens;

describe("the spend guard of the service", () => {
  let upstream: FaultServer;
  let service: Service;

  beforeAll(async () => {
    upstream = await startFaultServer();
    upstream.play(whole());
    service = await startService({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "none",
      // The same server by an address that does not count as local, so that the spend guard applies.
      OPENAI_BASE_URL: upstream.baseUrl.replace("127.0.0.1", "0.0.0.0"),
      MAX_OUTPUT_TOKENS: "100",
      REMOTE_MAX_TOKENS_PER_DAY: "10000",
      REMOTE_MAX_TOKENS_PER_DAY_ADDRESS: "200",
    });
  });
  afterAll(async () => {
    await service.stop();
    await upstream.close();
  });

  it("refuses further messages of an address in any session once its tokens of the day are used", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await chat.ask("one")).toMatchObject({ type: "message", content: answerText });
    expect(await chat.ask("two")).toMatchObject({ type: "message" });
    await chat.close();
    const other = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await other.ask("three", { max_tokens: 10 })).toMatchObject({ type: "message" });
    const before = upstream.requests.length;
    const refusal = await other.ask("four");
    expect(refusal).toMatchObject({ type: "error", code: "spend_limit", retryable: true });
    expect(refusal["message"]).toMatch(/may take \d+ tokens and \d+ are left/);
    expect(refusal["message"]).not.toContain("REMOTE_");
    expect(refusal["message"]).toContain("00:00 UTC");
    expect(refusal["retry_after_ms"]).toBeGreaterThan(0);
    expect(refusal["retry_after_ms"]).toBeLessThanOrEqual(A_DAY_MS);
    expect(upstream.requests).toHaveLength(before);
    await other.close();
  });

  it("exposes spent tokens and refusals in /metrics", async () => {
    const text = await (await service.http("/metrics")).text();
    expect(text).toContain(`chat_remote_tokens_today ${3 * COST}`);
    expect(text).toContain('chat_remote_spend_refused_total{limit="address"} 1');
  });
});
