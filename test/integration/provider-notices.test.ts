import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { answerText, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, until, type Service } from "../support/service.ts";

const BREAKER_MS = 4000;
const settings = {
  AI_PROVIDER: "openai",
  OPENAI_API_KEY: "sk-never-to-be-seen-0123456789",
  AI_RETRIES: "0",
  AI_BREAKER_FAILURES: "2",
  AI_BREAKER_SECONDS: String(BREAKER_MS / 1000),
};

interface Ready {
  readonly status: string;
  readonly back_ends: readonly {
    readonly name: string;
    readonly breaker: string;
    readonly reason?: string;
  }[];
}

async function readyz(service: Service): Promise<Ready & { readonly http: number }> {
  const response = await service.http("/readyz");
  return { http: response.status, ...((await response.json()) as Ready) };
}

describe("notices about providers", () => {
  let upstream: FaultServer;

  beforeAll(async () => {
    upstream = await startFaultServer();
  });

  afterAll(() => upstream.close());

  it("reach all sockets when a breaker opens and closes, as do /readyz and /metrics", async () => {
    const service = await startService({
      ...settings,
      AI_FALLBACK: "none",
      OPENAI_BASE_URL: upstream.baseUrl,
    });
    const [chat, other] = await Promise.all([
      ChatSocket.greeted(`${service.url}/ws/chat`),
      ChatSocket.greeted(`${service.url}/ws/chat`),
    ]);
    expect(await readyz(service)).toMatchObject({ http: 200, status: "ready" });
    upstream.play(status(500));
    await chat.ask("1");
    await chat.ask("2");
    expect(await other.next(({ event }) => event === "provider_degraded")).toMatchObject({
      type: "system",
      message: expect.stringMatching(/openai provider is temporarily unavailable/) as string,
    });
    expect(await readyz(service)).toMatchObject({
      http: 503,
      status: "not_ready",
      back_ends: [{ name: "openai", breaker: "open", reason: expect.stringContaining("500") as string }],
    });
    expect(await (await service.http("/metrics")).text()).toMatch(
      /^chat_breaker_state\{provider="openai"\} 2$/m,
    );
    const asked = upstream.requests.length;
    const refused = await chat.ask("3");
    expect(refused).toMatchObject({ type: "error", code: "provider_unavailable", retryable: true });
    expect(refused["retry_after_ms"]).toBeLessThanOrEqual(BREAKER_MS);
    expect(upstream.requests).toHaveLength(asked);
    upstream.play(whole());
    await delay(BREAKER_MS);
    expect(await readyz(service)).toMatchObject({ http: 200 });
    expect(await chat.ask("4")).toMatchObject({ type: "message", content: answerText });
    await other.next(({ event }) => event === "provider_recovered");
    expect(await readyz(service)).toMatchObject({ http: 200, back_ends: [{ breaker: "closed" }] });
    await Promise.all([chat.close(), other.close()]);
    await service.stop();
  });

  it("report a fallback that cannot start, with a log line and a system frame", async () => {
    upstream.play(status(500));
    const service = await startService({
      ...settings,
      AI_FALLBACK: "local",
      OPENAI_BASE_URL: upstream.baseUrl,
      MODEL_PATH: "/no/such/model.gguf",
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await chat.ask("hello")).toMatchObject({
      type: "error",
      code: "provider_unavailable",
      message: "The AI service is not available right now. Try again in a moment.",
    });
    await chat.next(({ event, message }) => event === "provider_degraded" && /local/.test(String(message)));
    await until(() =>
      service.log.some(
        (line) =>
          /fallback provider failed to start/.test(String(line["msg"])) &&
          /MODEL_PATH/.test(JSON.stringify(line)),
      ),
    );
    // The first provider is still tried again.
    upstream.play(whole());
    expect(await chat.ask("hello")).toMatchObject({ type: "message", provider: "openai" });
    await chat.close();
    await service.stop();
  });
});
