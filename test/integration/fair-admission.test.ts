import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Stopper } from "../../src/core/stop-signal.ts";
import type { Principal } from "../../src/core/principal.ts";
import { answerOf, chatRequest } from "../support/chat-request.ts";
import { ChatSocket } from "../support/chat-socket.ts";
import { startLocalEngine, type LocalEngine } from "../support/local-engine.ts";
import { startService, type Service } from "../support/service.ts";
import { endlessModel } from "../support/tiny-gguf.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

const ECHO = { AI_PROVIDER: "echo", ECHO_SLOTS: "1", ECHO_TOKEN_MS: "20", ECHO_ANSWER_BYTES: "100000" };

const principal = (name: string): Principal => ({
  authenticated: true,
  client: name,
  publicId: name,
  accountKey: name,
});

describe("a full queue of the echo provider", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      ...ECHO,
      LOCAL_QUEUE_LIMIT: "4",
      MAX_ACTIVE_ANSWERS_PER_CLIENT: "32",
      MAX_OUTPUT_TOKENS: "2000",
      JWT_SECRET,
    });
  });

  afterAll(() => service.stop());

  const connect = (sub: string) =>
    ChatSocket.greeted(`${service.url}/ws/chat/auth?token=${tokenOf(sub, 600)}&stream=true`);

  it("gives the place of the largest client's latest message to another client; the message can be sent again", async () => {
    const [greedy, modest] = await Promise.all([connect("greedy"), connect("modest")]);
    const ask = (socket: ChatSocket, id: string) => socket.ask("go on", { id, conversation: id, seed: 1 });
    const cancel = (socket: ChatSocket, id: string) => socket.send({ type: "cancel", id, conversation: id });
    const running = ask(greedy, "g0");
    await greedy.next(({ type }) => type === "token");
    const waiting: Promise<Record<string, unknown>>[] = [];
    for (const id of ["g1", "g2", "g3", "g4"]) {
      waiting.push(ask(greedy, id));
      await greedy.next((frame) => frame["type"] === "queued" && frame["id"] === id);
    }
    const served = ask(modest, "m");
    expect(await waiting[3]).toMatchObject({
      type: "error",
      code: "overloaded",
      retryable: true,
      retry_after_ms: expect.any(Number),
    });
    expect(await ask(greedy, "g5")).toMatchObject({ type: "error", code: "overloaded" });
    cancel(greedy, "g0");
    expect(await running).toMatchObject({ finish_reason: "cancelled" });
    const again = ask(greedy, "g4");
    for (const id of ["g1", "g2", "g3", "g4"]) cancel(greedy, id);
    cancel(modest, "m");
    for (const end of [...waiting.slice(0, 3), again, served]) {
      expect(await end).toMatchObject({ type: "message", finish_reason: "cancelled" });
    }
    await Promise.all([greedy.close(), modest.close()]);
  });
});

describe("a full queue of the engine", () => {
  it("gives the place of the largest client's latest request to another client", async () => {
    const settings = { modelPath: await endlessModel(), contextTokens: 4096, slots: 1, queueLimit: 4 };
    const engine = await startLocalEngine({ settings });
    const ask = (name: string) =>
      answerOf(
        engine.provider,
        chatRequest("go on", { principal: principal(name), conversation: name, maxTokens: 300 }),
      );
    const greedy = Array.from({ length: 5 }, () => ask("sub:greedy"));
    const modest = ask("sub:modest");
    const ends = await Promise.allSettled([...greedy, modest]);
    expect(ends[5]?.status).toBe("fulfilled");
    const refused = ends.filter((end) => end.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: "overloaded", retryable: true });
    expect(ends[0]?.status).toBe("fulfilled");
    await engine.stop();
  });
});

describe("many long texts of one client", () => {
  let engine: LocalEngine;

  beforeAll(async () => {
    engine = await startLocalEngine({ settings: { contextTokens: 4096, slots: 1 } });
  });

  afterAll(() => engine.stop());

  const text = (index: number) => `${index} ${"the other people call ".repeat(1450)}`.slice(0, 32_000);

  it("are not all counted before another client's answer starts", async () => {
    const { provider } = engine;
    const signal = new Stopper();
    let counted = 0;
    const counts = Array.from({ length: 200 }, async (_, index) => {
      const tokens = await provider.countTokens(text(index), { principal: principal("greedy"), signal });
      counted++;
      return tokens;
    });
    await Promise.race(counts);
    const parts = await answerOf(
      provider,
      chatRequest("Hello", { principal: principal("modest"), maxTokens: 2 }),
    );
    expect(parts.at(-1)?.type).toBe("finish");
    expect(counted).toBeLessThan(100);
    // A text above the window is counted as far as the window.
    for (const tokens of await Promise.all(counts)) expect(tokens).toBeGreaterThan(4096);
  });

  it("are refused uncounted if they have more characters than the window can hold", async () => {
    const endless = "the other people call ".repeat(40_000);
    const tokens = await engine.provider.countTokens(endless, {
      principal: principal("greedy"),
      signal: new AbortController().signal,
    });
    // The longest token of the model has ten characters.
    expect(tokens).toBe(Math.ceil(endless.length / 10));
  });

  it("are no longer counted after their command was cancelled", async () => {
    const stop = new AbortController();
    const options = { principal: principal("greedy"), signal: stop.signal };
    const counts = Array.from({ length: 9 }, (_, index) =>
      engine.provider.countTokens(`again ${text(index)}`, options),
    );
    stop.abort(new Error("cancelled"));
    for (const count of counts) await expect(count).rejects.toThrow("cancelled");
    const one = { principal: principal("greedy"), signal: new AbortController().signal };
    expect(await engine.provider.countTokens("the people", one)).toBeGreaterThan(0);
  });
});
