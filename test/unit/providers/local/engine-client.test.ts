import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../../src/core/clock.ts";
import type { EngineStatus } from "../../../../src/engine-wire/engine-status.ts";
import { LineDecoder } from "../../../../src/engine-wire/line-codec.ts";
import type { EngineMessage, GatewayMessage } from "../../../../src/engine-wire/requests.ts";
import { noMetrics } from "../../../../src/core/metrics.ts";
import { LocalProvider } from "../../../../src/providers/local/local-provider.ts";
import { chatRequest, collect, countOptions } from "../../../support/chat-request.ts";
import { partsOf, type SeenPart } from "../../../support/parts-of.ts";

/** Folder of the socket of a fake engine that is controlled by the test. */
let folder: string;
let server: Server | undefined;
let sockets: Socket[];
let received: GatewayMessage[];
let status: EngineStatus;
let listeners: Set<(status: EngineStatus) => void>;
let provider: LocalProvider;

const info = { modelName: "fake", contextTokens: 512 };
const usage = { promptTokens: 3, completionTokens: 1, cachedTokens: 0 };
const send = (message: EngineMessage | object) => sockets.at(-1)?.write(`${JSON.stringify(message)}\n`);
const set = (next: EngineStatus) => {
  status = next;
  for (const listener of listeners) listener(next);
};
const engineUp = async () => {
  server = createServer((socket) => {
    const decoder = new LineDecoder<GatewayMessage>();
    sockets.push(
      socket.setEncoding("utf8").on("data", (chunk: string) => received.push(...decoder.push(chunk))),
    );
    socket.on("error", () => {});
    send({ type: "ready", info });
  });
  await new Promise<void>((resolve) => server?.listen(join(folder, "s"), resolve));
  set({ state: "ready", reason: "" });
};
const engineDown = () => {
  server?.close();
  for (const socket of sockets.splice(0)) socket.destroy();
};
const begin = (signal = new AbortController().signal) => {
  const parts: SeenPart[] = [];
  const result = (async () => {
    for await (const part of partsOf(provider, chatRequest("Hello"), { signal })) parts.push(part);
  })();
  // Each test awaits the result later. This prevents an unhandled rejection until then.
  result.catch(() => {});
  return { parts, result };
};
const starts = () => received.filter(({ type }) => type === "start");

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "client-"));
  sockets = [];
  received = [];
  listeners = new Set();
  status = { state: "starting", reason: "The model is being loaded." };
  provider = new LocalProvider({
    engine: {
      socketPath: join(folder, "s"),
      status: () => status,
      onChange: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    clock: systemClock,
    metrics: noMetrics,
    queueLimit: 3,
    expected: { model: "expected", contextTokens: 7 },
  });
});

afterEach(async () => {
  await provider.close();
  engineDown();
  rmSync(folder, { recursive: true });
});

describe("the connection of LocalProvider to the engine", () => {
  it("keeps requests while the engine starts, reports their positions, and sends them in order", async () => {
    expect(provider.health()).toEqual({ state: "starting", reason: "The model is being loaded." });
    expect(provider.describe()).toEqual({ model: "expected", contextTokens: 7 });
    const [first, second] = [begin(), begin()];
    await expect.poll(() => second.parts).toEqual([{ type: "queued", position: 2 }]);
    await engineUp();
    await expect.poll(() => starts().length).toBe(2);
    const [one, two] = starts().map((message) => message.type === "start" && message.id);
    send({
      type: "tick",
      started: [[one, 3, 0, 0]],
      deltas: [[one, "Hi", 1]],
      finished: [[one, "stop", usage]],
    });
    send({ type: "tick", started: [[two, 3, 0, 0]], finished: [[two, "stop", usage]] });
    await Promise.all([first.result, second.result]);
    expect(first.parts.slice(1)).toEqual([
      {
        type: "started",
        provider: "local",
        model: "fake",
        contextTokens: 512,
        droppedTurns: 0,
        promptTokens: 3,
        cachedTokens: 0,
      },
      { type: "text-delta", text: "Hi", tokens: 1 },
      { type: "finish", reason: "stop", usage },
    ]);
    expect(provider.health()).toEqual({ state: "ready", reason: "" });
  });

  it("forwards forget to a connected engine, and drops it while there is none", async () => {
    provider.forget({ client: "anon:early" });
    await engineUp();
    const first = begin();
    await expect.poll(() => starts().length).toBe(1);
    provider.forget({ client: "anon:a", conversation: "c anon:a" });
    provider.forget({ client: "anon:b" });
    const forgets = () => received.filter(({ type }) => type === "forget");
    await expect.poll(() => forgets().length).toBe(2);
    expect(forgets()).toEqual([
      { type: "forget", request: { client: "anon:a", conversation: "c anon:a" } },
      { type: "forget", request: { client: "anon:b" } },
    ]);
    engineDown();
    await expect(first.result).rejects.toMatchObject({ code: "engine_crashed" });
    provider.forget({ client: "anon:late" });
    await engineUp();
    begin().result.catch(() => {});
    await expect.poll(() => starts().length).toBe(2);
    expect(forgets()).toHaveLength(2);
  });

  it("stops forwarding forget to an engine that does not read", async () => {
    await engineUp();
    begin().result.catch(() => {});
    await expect.poll(() => starts().length).toBe(1);
    sockets.at(-1)?.pause();
    const client = `anon:${"x".repeat(1000)}`;
    for (let index = 0; index < 20_000; index++) provider.forget({ client });
    sockets.at(-1)?.resume();
    const forgets = () => received.filter(({ type }) => type === "forget").length;
    await expect.poll(forgets).toBeGreaterThan(500);
    await new Promise((resolve) => setTimeout(resolve, 50));
    // The kernel buffers some bytes in addition to the limit of 1 MiB.
    expect(forgets()).toBeLessThan(10_000);
  });

  it("limits the requests that wait for the start, and cancels them without a message to the engine", async () => {
    const abort = new AbortController();
    const cancelled = begin(abort.signal);
    begin();
    begin();
    await expect(begin().result).rejects.toMatchObject({
      code: "overloaded",
      retryAfterMs: expect.any(Number),
    });
    abort.abort(new Error("enough"));
    await expect(cancelled.result).rejects.toThrow("enough");
    await engineUp();
    await expect.poll(() => starts().length).toBe(2);
    expect(received).toHaveLength(2);
  });

  it("fails waiting requests if the start fails, and new ones with the reason", async () => {
    const waiting = begin();
    await expect.poll(() => waiting.parts.length).toBe(1);
    set({ state: "degraded", reason: "It keeps crashing." });
    await expect(waiting.result).rejects.toMatchObject({
      provider: "local",
      code: "provider_unavailable",
      message: "It keeps crashing.",
    });
    await expect(begin().result).rejects.toMatchObject({ code: "provider_unavailable", retryable: true });
    await expect(provider.countTokens("x", countOptions)).rejects.toMatchObject({
      code: "provider_unavailable",
    });
    expect(provider.health()).toEqual({ state: "degraded", reason: "It keeps crashing." });
  });

  it("fails running requests when the engine crashes, and works again after its restart", async () => {
    await engineUp();
    const { result } = begin();
    const count = provider.countTokens("x", countOptions);
    const counted = expect(count).rejects.toMatchObject({ code: "engine_crashed" });
    await expect.poll(() => received.length).toBe(2);
    engineDown();
    await expect(result).rejects.toMatchObject({
      provider: "local",
      code: "engine_crashed",
      retryable: true,
    });
    await counted;
    set({ state: "starting", reason: "again" });
    const next = begin();
    await engineUp();
    await expect.poll(() => starts().length).toBe(2);
    const message = starts().at(-1);
    send({ type: "tick", finished: [[message?.type === "start" && message.id, "stop", usage]] });
    await next.result;
    expect(next.parts.at(-1)?.type).toBe("finish");
  });

  it("sends cancel at once if the signal aborts, and throws its reason", async () => {
    await engineUp();
    const abort = new AbortController();
    const { result } = begin(abort.signal);
    await expect.poll(() => starts().length).toBe(1);
    abort.abort("because");
    await expect(result).rejects.toBe("because");
    const start = starts()[0];
    await expect
      .poll(() => received.at(-1))
      .toEqual({ type: "cancel", id: start?.type === "start" && start.id });
  });

  it("sends cancel if the reader stops reading, but not after the end", async () => {
    await engineUp();
    const left = (async () => {
      for await (const part of partsOf(provider, chatRequest("Hi"))) {
        if (part.type === "text-delta") return;
      }
    })();
    await expect.poll(() => starts().length).toBe(1);
    const id = received[0]?.type === "start" ? received[0].id : 0;
    send({ type: "tick", deltas: [[id, "a", 1]] });
    await left;
    await expect.poll(() => received.at(-1)).toEqual({ type: "cancel", id });
    const whole = begin();
    await expect.poll(() => starts().length).toBe(2);
    send({ type: "tick", finished: [[id + 1, "stop", usage]] });
    await whole.result;
    // Messages arrive in order, so a cancel would have arrived before the next start.
    begin();
    await expect.poll(() => starts().length).toBe(3);
    expect(received.filter(({ type }) => type === "cancel")).toHaveLength(1);
  });

  it("passes on the errors reported by the engine", async () => {
    await engineUp();
    const { result } = begin();
    await expect.poll(() => starts().length).toBe(1);
    const id = received[0]?.type === "start" ? received[0].id : 0;
    const report = { code: "prompt_too_long", message: "too long", retryable: false };
    send({ type: "tick", failed: [[id, report]] });
    await expect(result).rejects.toMatchObject({ provider: "local", ...report });
  });

  it("treats invalid data from the engine as a crash", async () => {
    await engineUp();
    const { result } = begin();
    await expect.poll(() => starts().length).toBe(1);
    sockets.at(-1)?.write("this is not JSON\n");
    await expect(result).rejects.toMatchObject({ code: "engine_crashed" });
  });

  it("omits fields of the request that the engine does not use", async () => {
    await engineUp();
    const request = chatRequest("Hello", { continueFrom: "Hi", jsonSchema: { type: "string" } });
    const abort = new AbortController();
    const stream = collect(partsOf(provider, request, { signal: abort.signal }));
    const ended = expect(stream).rejects.toThrow("enough");
    await expect.poll(() => starts().length).toBe(1);
    abort.abort(new Error("enough"));
    await ended;
    const { principal, ...rest } = request;
    expect(starts()[0]).toMatchObject({
      request: { ...rest, client: principal.client, accountKey: principal.accountKey, authenticated: false },
    });
    expect(JSON.stringify(starts()[0])).not.toContain("publicId");
  });

  it("gives the place of the largest principal's latest request to another principal while the engine starts", async () => {
    const asking = (accountKey: string) => {
      const request = chatRequest("Hello", {
        principal: { authenticated: true, client: accountKey, publicId: accountKey, accountKey },
      });
      const result = collect(partsOf(provider, request, { signal: new AbortController().signal }));
      result.catch(() => {});
      return result;
    };
    void asking("sub:greedy");
    void asking("sub:greedy");
    const displaced = asking("sub:greedy");
    void asking("sub:modest");
    await expect(displaced).rejects.toMatchObject({
      code: "overloaded",
      retryable: true,
      retryAfterMs: 2000,
    });
    await expect(asking("sub:greedy")).rejects.toMatchObject({ code: "overloaded" });
    await engineUp();
    await expect.poll(() => starts().length).toBe(3);
    const accounts = starts().map((message) => message.type === "start" && message.request.accountKey);
    expect(accounts).toEqual(["sub:greedy", "sub:greedy", "sub:modest"]);
  });
});
