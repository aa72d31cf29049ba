import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatRequest } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf, countOptions } from "../support/chat-request.ts";
import { localProvider, startLocalEngine, type LocalEngine } from "../support/local-engine.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

let engine: LocalEngine;

beforeAll(async () => {
  engine = await startLocalEngine({ settings: { queueLimit: 300 } });
});
afterAll(() => engine.stop());

const greedy = { temperature: 0, repeatPenalty: 1 };
let conversations = 0;
const request = (text: string, changes: Partial<ChatRequest> = {}) =>
  chatRequest(text, { maxTokens: 40, conversation: `c${++conversations}`, ...changes });
const answer = (text: string, changes?: Partial<ChatRequest>) =>
  answerOf(engine.provider, request(text, changes));
const finishOf = (parts: readonly SeenPart[]) => {
  const part = parts.at(-1);
  if (part?.type !== "finish") throw new Error("the answer did not finish");
  return part;
};
const startedOf = (parts: readonly SeenPart[]) => {
  const part = parts.find(({ type }) => type === "started");
  if (part?.type !== "started") throw new Error("the answer did not start");
  return part;
};
/** Opens a stream and reads up to the first part of a type. */
async function openUntil(type: SeenPart["type"], changes: Partial<ChatRequest>, text = "Hello") {
  const abort = new AbortController();
  const stream = partsOf(engine.provider, request(text, changes), { signal: abort.signal });
  for (;;) {
    const { value, done } = await stream.next();
    if (done === true) throw new Error(`no ${type}`);
    if (value.type === type) return { stream, abort, part: value };
  }
}

describe("the local engine", () => {
  it("answers 60 concurrent requests on 4 slots, each with its own whole answer", async () => {
    const texts = Array.from({ length: 60 }, (_, index) => `Say the number ${index * 37} and word ${index}`);
    const empty = startedOf(await answer("x")).promptTokens ?? 0;
    const promptTokens = async (text: string) =>
      empty - 1 + (await engine.provider.countTokens(text, countOptions));
    const alone: string[] = [];
    for (const text of texts.slice(0, 10)) alone.push(textOf(await answer(text, { sampling: greedy })));
    expect(new Set(alone.map((text) => text.slice(0, 8))).size).toBeGreaterThan(5);
    const together = await Promise.all(texts.map((text) => answer(text, { sampling: greedy })));
    // A batch rounds differently from a single sequence, so a long answer may differ from its twin near the end.
    for (const [index, parts] of together.slice(0, 10).entries()) {
      expect(textOf(parts).slice(0, 8)).toBe(alone[index]?.slice(0, 8));
    }
    for (const [index, parts] of together.entries()) {
      expect(startedOf(parts).promptTokens).toBe(await promptTokens(texts[index] ?? ""));
      const { reason, usage } = finishOf(parts);
      expect(parts.filter(({ type }) => type === "started")).toHaveLength(1);
      if (reason === "length") expect(usage.completionTokens).toBe(40);
    }
  });

  it("reports the queue position of waiting requests", async () => {
    const all = await Promise.all(Array.from({ length: 12 }, () => answer("Hello")));
    const places = all
      .map((parts) => parts.find(({ type }) => type === "queued"))
      .filter((part) => part !== undefined);
    expect(places.map((part) => part.type === "queued" && part.position)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("refuses requests beyond its queue limit and serves the others", async () => {
    const principal = { authenticated: true, client: "sub:one", publicId: "one", accountKey: "sub:one" };
    const all = await Promise.allSettled(
      Array.from({ length: 320 }, () => answer("Hello", { maxTokens: 2, principal })),
    );
    const refused = all.filter((result) => result.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThanOrEqual(20);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: "overloaded", provider: "local" });
  });

  it("gives the same answer for the same seed, and different answers without a seed (trap 18)", async () => {
    const sampling = { temperature: 1, seed: 42 };
    const seeded = [await answer("Hello", { sampling }), await answer("Hello", { sampling })].map(textOf);
    expect(seeded[0]).toBe(seeded[1]);
    const free = await Promise.all([1, 2, 3].map(() => answer("Hello", { sampling: { temperature: 1 } })));
    expect(new Set(free.map(textOf)).size).toBe(3);
  });

  it("gives valid JSON for a schema in eight concurrent requests", async () => {
    const jsonSchema = {
      type: "object",
      properties: {
        sentiment: { enum: ["positive", "negative", "neutral"] },
        spam: { type: "boolean" },
        topics: { type: "array", items: { enum: ["a", "b"] }, maxItems: 3 },
      },
      required: ["sentiment", "spam", "topics"],
    };
    const all = await Promise.all(
      Array.from({ length: 8 }, () =>
        answer("Analyze", { jsonSchema, maxTokens: 200, sampling: { stop: ["e"] } }),
      ),
    );
    for (const parts of all) {
      expect(finishOf(parts).reason).toBe("stop");
      const value = JSON.parse(textOf(parts)) as Record<string, unknown>;
      expect(["positive", "negative", "neutral"]).toContain(value["sentiment"]);
      expect(typeof value["spam"]).toBe("boolean");
      expect(Array.isArray(value["topics"])).toBe(true);
      expect(textOf(parts)).toBe(textOf(parts).trimEnd());
    }
  });

  it("finishes with `length` if the token limit is reached before the JSON is complete", async () => {
    const jsonSchema = {
      type: "object",
      properties: { word: { type: "string", minLength: 200 } },
      required: ["word"],
    };
    expect(finishOf(await answer("x", { jsonSchema, maxTokens: 20 })).reason).toBe("length");
  });

  it("refuses a schema that cannot be converted to a grammar", async () => {
    const jsonSchema = { type: "array", items: { type: "string" }, minItems: 1_000_000 };
    await expect(answer("x", { jsonSchema })).rejects.toMatchObject({ code: "bad_request" });
  });

  it("processes no token twice on the second turn of a conversation, and counts cached tokens exactly", async () => {
    const conversation = "two turns";
    const turn = { role: "user" as const, content: "Tell me about the water" };
    const first = await answerOf(
      engine.provider,
      request("", { conversation, turns: [turn], maxTokens: 10 }),
    );
    const usage = finishOf(first).usage;
    const turns = [
      turn,
      { role: "assistant" as const, content: textOf(first) },
      { role: "user" as const, content: "And?" },
    ];
    const second = await answerOf(engine.provider, request("", { conversation, turns }));
    const { cachedTokens } = finishOf(second).usage;
    // Never the whole answer, since its last token was sampled but not processed. The tokenizer may split the text of a
    // random model into other tokens, so the reused part of the answer varies.
    expect(cachedTokens).toBeGreaterThanOrEqual(usage.promptTokens);
    expect(cachedTokens).toBeLessThan(usage.promptTokens + usage.completionTokens);
    expect(startedOf(second).cachedTokens).toBe(cachedTokens);
    const repeated = finishOf(await answerOf(engine.provider, request("", { conversation, turns }))).usage;
    expect(repeated.cachedTokens).toBe(repeated.promptTokens - 1);
  });

  it("shares only the KV of the system text between clients", async () => {
    const shared = { system: "A system text of its own for this test only." };
    const principal = (client: string) => ({
      authenticated: false,
      client,
      publicId: client,
      accountKey: "addr:x",
    });
    const of = async (client: string, text: string) =>
      finishOf(await answer(text, { ...shared, principal: principal(client), maxTokens: 1 })).usage;
    const long = "my secret is the number of the people ".repeat(6);
    for (let index = 0; index < 4; index++) await of("anon:a", long);
    const own = await of("anon:a", long);
    expect(own.cachedTokens).toBe(own.promptTokens - 1);
    const { cachedTokens, promptTokens } = await of("anon:b", long);
    expect(cachedTokens).toBeLessThan(promptTokens / 2);
  });

  it("drops the oldest turns of a long conversation and reports how many", async () => {
    const turns = Array.from({ length: 41 }, (_, index) => ({
      role: index % 2 === 0 ? ("user" as const) : ("assistant" as const),
      content: `turn ${index} about the people and the water`,
    }));
    const parts = await answer("", { turns });
    const { droppedTurns, promptTokens } = startedOf(parts);
    expect(droppedTurns).toBeGreaterThan(0);
    expect(droppedTurns % 2).toBe(0);
    expect(promptTokens).toBeLessThanOrEqual(512 - 40);
  });

  it("refuses a message that does not fit the window, before it takes a slot", async () => {
    await expect(answer("the water ".repeat(400))).rejects.toMatchObject({
      code: "prompt_too_long",
      retryable: false,
      message: expect.stringMatching(/room for \d+/),
    });
  });

  it("fills the window to its end without dropping the system text (trap 19)", async () => {
    for (let words = 40; words < 60; words++) {
      const parts = await answer("number ".repeat(words), { maxTokens: 330, sampling: { temperature: 1 } });
      const { usage, reason } = finishOf(parts);
      expect(usage.promptTokens + usage.completionTokens).toBeLessThanOrEqual(512);
      if (reason === "length") expect(usage.completionTokens).toBe(330);
    }
  });

  it("ends before a stop text and never emits it (trap 22)", async () => {
    const whole = textOf(await answer("Hello", { sampling: greedy }));
    const stop = whole.slice(20, 24);
    // The request runs alone both times, so the arithmetic is the same.
    const parts = await answer("Hello", { sampling: { ...greedy, stop: [stop] } });
    expect(textOf(parts)).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(finishOf(parts).reason).toBe("stop");
  });

  it("frees the queue position of a cancelled request", async () => {
    // All are sent at once, so the fifth one arrives while the others run.
    const opened = Array.from({ length: 4 }, () => openUntil("started", { maxTokens: 300 }));
    const { abort, stream } = await openUntil("queued", {});
    const running = await Promise.all(opened);
    abort.abort(new Error("changed my mind"));
    await expect(stream.next()).rejects.toThrow("changed my mind");
    for (const { abort: end } of running) end.abort();
    expect(finishOf(await answer("Hello")).type).toBe("finish");
  });

  it("stops processing a prompt at once if it is cancelled (trap 20)", async () => {
    const slow = await startLocalEngine({ settings: { contextTokens: 4096, slots: 1, maxTickMs: 20 } });
    const timed = async (text: string) => {
      const from = performance.now();
      await answerOf(slow.provider, request(text, { maxTokens: 1 }));
      return performance.now() - from;
    };
    try {
      const stream = partsOf(
        slow.provider,
        request("the water and the people ".repeat(700), { maxTokens: 1 }),
        { signal: AbortSignal.timeout(40) },
      );
      await expect(consume(stream)).rejects.toThrow();
      const next = await timed("Hello");
      // A prompt of half the length, on the same machine.
      expect(next).toBeLessThan(await timed("the people and the water ".repeat(350)));
    } finally {
      await slow.stop();
    }
  });

  it("gives the slot of a cancelled answer to the next request", async () => {
    const running = await Promise.all(
      Array.from({ length: 4 }, () => openUntil("text-delta", { maxTokens: 400 })),
    );
    const ended: string[] = [];
    const waiting = answer("Hello", { maxTokens: 1 }).then(() => ended.push("waiting"));
    const [cancelled, ...others] = running;
    const rest = others.map(({ stream }) => consume(stream).then(() => ended.push("other")));
    await cancelled?.stream.return();
    await Promise.all([waiting, ...rest]);
    expect(ended[0]).toBe("waiting");
  });

  it("serves two gateways that use the same request ids", async () => {
    const other = localProvider(engine.supervisor);
    const texts = Array.from({ length: 10 }, (_, index) => `word ${index}`);
    const ask = (provider: typeof other) =>
      Promise.all(
        texts.map(async (text) => textOf(await answerOf(provider, request(text, { sampling: greedy })))),
      );
    const [here, there] = await Promise.all([ask(engine.provider), ask(other)]);
    expect(here.map((text) => text.slice(0, 8))).toEqual(there.map((text) => text.slice(0, 8)));
    await other.close();
    expect(finishOf(await answer("still there")).type).toBe("finish");
  });
});

async function consume(stream: AsyncIterable<SeenPart>): Promise<SeenPart[]> {
  const parts: SeenPart[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}
