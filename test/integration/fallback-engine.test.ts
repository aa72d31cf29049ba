import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { seenAnswer } from "../support/fallbacks.ts";
import { answerText, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { startService, until, type Service } from "../support/service.ts";
import { endlessModel } from "../support/tiny-gguf.ts";

const KEY = "sk-never-to-be-seen-0123456789";
const ANSWERS = 8;
/** Token limit of answers that the engine generates completely. */
const TOKENS = 600;

async function localService(settings: Readonly<Record<string, string>> = {}): Promise<Service> {
  return startService({
    MODEL_PATH: await endlessModel(),
    LOCAL_SLOTS: "8",
    LOCAL_CONTEXT_SIZE: "2048",
    MAX_OUTPUT_TOKENS: "1500",
    ...settings,
  });
}

function connect(service: Service, count: number): Promise<ChatSocket[]> {
  return Promise.all(
    Array.from({ length: count }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
  );
}

/** Sends a message on every socket. Resolves with the pending ends when each socket has its first text. */
async function startAnswers(sockets: readonly ChatSocket[], tokens = 1400): Promise<Promise<Frame>[]> {
  const ends = sockets.map((socket, index) =>
    socket.ask(`go on for long, ${index}`, { id: `m${index}`, seed: index, max_tokens: tokens }),
  );
  await Promise.all(sockets.map((socket) => socket.next(({ type }) => type === "token")));
  return ends;
}

async function killEngine(service: Service): Promise<void> {
  const pid = service.enginePid() as number;
  process.kill(pid, "SIGKILL");
  await until(() => service.log.some(({ msg, engine }) => msg === "engine process exited" && engine === pid));
}

describe("when the engine crashes and a remote provider is next", () => {
  let upstream: FaultServer;
  let service: Service;

  beforeAll(async () => {
    upstream = await startFaultServer();
    service = await localService({
      AI_FALLBACK: "openai",
      OPENAI_API_KEY: KEY,
      OPENAI_BASE_URL: upstream.baseUrl,
    });
  });

  afterAll(async () => {
    await service.stop();
    await upstream.close();
  });

  it("every answer continues there: whole, with one notice, and without a duplicate byte", async () => {
    upstream.play(whole());
    const sockets = await connect(service, ANSWERS);
    const ends = await startAnswers(sockets);
    await killEngine(service);
    const asked = upstream.requests;
    for (const [index, end] of (await Promise.all(ends)).entries()) {
      const seen = seenAnswer(sockets[index] as ChatSocket, end);
      expect(end).toMatchObject({
        type: "message",
        finish_reason: "stop",
        provider: "openai",
        model: "gpt-4",
      });
      expect(seen.fallbacks).toHaveLength(1);
      expect(seen.fallbacks[0]).toMatchObject({
        from_provider: "local",
        to_provider: "openai",
        phase: "mid_stream",
      });
      expect(seen.before).not.toBe("");
      expect(seen.after).toBe(answerText);
      // The next provider continues exactly the text that the client has received.
      const prompts = asked.filter(
        ({ body }) => body.messages?.at(-3)?.content === `go on for long, ${index}`,
      );
      expect(prompts.map(({ body }) => body.messages?.at(-2))).toEqual([
        { role: "assistant", content: seen.before },
      ]);
    }
    expect(sockets.some(({ isClosed }) => isClosed)).toBe(false);
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_fallbacks_total\{from="local",to="openai",phase="mid_stream"\} 8$/m);
    expect(metrics).toMatch(/^chat_requests_running 0$/m);
    expect(metrics).toMatch(/^chat_requests_waiting 0$/m);
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it("a client of the original protocol gets a system frame and the whole answer", async () => {
    await until(() => service.log.filter(({ msg }) => msg === "engine ready").length === 2);
    upstream.play(whole());
    const [watcher] = await connect(service, 1);
    const plain = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const end = plain.ask("go on for long, 0", { seed: 0, max_tokens: 1400 });
    void watcher?.ask("go on for long, 1", { seed: 1, max_tokens: 1400 });
    await watcher?.next(({ type }) => type === "token");
    await killEngine(service);
    const { content } = (await end) as Frame & { content: string };
    expect(content.endsWith(answerText)).toBe(true);
    expect(plain.frames.map(({ type, event }) => event ?? type)).toEqual([
      "welcome",
      "provider_changed",
      "message",
    ]);
    await Promise.all([plain.close(), watcher?.close()]);
  });
});

describe("when the engine crashes and there is no other provider", () => {
  it("every answer continues after the restart: whole, with one notice, and without a duplicate byte", async () => {
    const service = await localService();
    const sockets = await connect(service, ANSWERS);
    const ends = await startAnswers(sockets, TOKENS);
    await killEngine(service);
    for (const [index, end] of (await Promise.all(ends)).entries()) {
      const seen = seenAnswer(sockets[index] as ChatSocket, end);
      expect(end).toMatchObject({ type: "message", provider: "local" });
      expect(end["finish_reason"]).toMatch(/^(stop|length)$/);
      expect(seen.fallbacks).toHaveLength(1);
      expect(seen.fallbacks[0]).toMatchObject({
        from_provider: "local",
        to_provider: "local",
        phase: "mid_stream",
      });
      const { completion_tokens: tokens } = end["usage"] as { completion_tokens: number };
      expect(tokens).toBeLessThanOrEqual(TOKENS);
      if (end["finish_reason"] === "length") expect(tokens).toBe(TOKENS);
    }
    expect(sockets.some(({ isClosed }) => isClosed)).toBe(false);
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_engine_restarts_total 1$/m);
    expect(metrics).toMatch(/^chat_requests_running 0$/m);
    await service.stop();
  });

  it("a prompt that crashes it each time fails after the second crash, and all other requests are answered", async () => {
    const service = await localService();
    const sockets = await connect(service, 4);
    const ends = await startAnswers(sockets);
    const poisoned = sockets[2] as ChatSocket;
    await killEngine(service);
    const notice = await poisoned.next(({ type }) => type === "fallback");
    // The request is retried and crashes the engine again.
    await poisoned.next(
      ({ type, from }) => type === "token" && (from as number) >= (notice["at"] as number),
      poisoned.frames.indexOf(notice),
    );
    await killEngine(service);
    const all = await Promise.all(ends);
    expect(all[2]).toMatchObject({ type: "error", code: "engine_crashed", retryable: false });
    for (const index of [0, 1, 3]) {
      const seen = seenAnswer(sockets[index] as ChatSocket, all[index] as Frame);
      expect(seen.end).toMatchObject({ type: "message", provider: "local" });
      expect(seen.fallbacks).toHaveLength(1);
    }
    expect(await poisoned.ask("something else", { max_tokens: 4 })).toMatchObject({ type: "message" });
    await service.stop();
  });

  it("answers end with retryable errors if FALLBACK_MID_STREAM=error, and the next message is answered", async () => {
    const service = await localService({ FALLBACK_MID_STREAM: "error" });
    const sockets = await connect(service, ANSWERS);
    const ends = await startAnswers(sockets);
    await killEngine(service);
    for (const end of await Promise.all(ends)) {
      expect(end).toMatchObject({ type: "error", code: "engine_crashed", retryable: true });
    }
    const again = await Promise.all(sockets.map((socket) => socket.ask("are you there?", { max_tokens: 4 })));
    expect(again.map(({ type }) => type)).toEqual(Array.from({ length: ANSWERS }, () => "message"));
    expect(sockets.some((socket) => socket.isClosed)).toBe(false);
    const metrics = await (await service.http("/metrics")).text();
    expect(metrics).toMatch(/^chat_engine_restarts_total 1$/m);
    expect(metrics).toMatch(/^chat_requests_running 0$/m);
    await service.stop();
  });
});
