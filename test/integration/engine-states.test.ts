import { readdirSync, statSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { EngineSettings } from "../../src/engine-wire/control.ts";
import type { ChatRequest, Usage } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf, countOptions } from "../support/chat-request.ts";
import { CountingMetrics } from "../support/counting-metrics.ts";
import { startLocalEngine, type LocalEngine } from "../support/local-engine.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

const greedy = { temperature: 0, repeatPenalty: 1 };
const running: LocalEngine[] = [];
afterEach(() => Promise.all(running.splice(0).map((engine) => engine.stop())));

async function start(settings: Partial<EngineSettings>) {
  const metrics = new CountingMetrics();
  const engine = await startLocalEngine({ settings, metrics });
  running.push(engine);
  const stat = (name: string) => metrics.read(`engine_${name}`);
  return { engine, stat, answer: (request: ChatRequest) => answerOf(engine.provider, request) };
}

const person = (name: string) => ({
  authenticated: true,
  client: `sub:${name}`,
  publicId: name,
  accountKey: `sub:${name}`,
});
const request = (name: string, text: string, changes: Partial<ChatRequest> = {}) =>
  chatRequest(text, {
    principal: person(name),
    conversation: `${name}/main`,
    sampling: greedy,
    maxTokens: 20,
    ...changes,
  });
const usageOf = (parts: readonly SeenPart[]): Usage => {
  const last = parts.at(-1);
  if (last?.type !== "finish") throw new Error("no finish");
  return last.usage;
};
const long = (seed: string) => `${seed} the people and the water of the way `.repeat(12);

describe("stored states of sequences", () => {
  it("restore an evicted conversation without processing it again, for its own client only (trap 26)", async () => {
    const { answer } = await start({ slots: 1, contextTokens: 1024 });
    const first = await answer(request("ada", long("ada")));
    await answer(request("bob", long("bob")));
    const turns = [
      { role: "user" as const, content: long("ada") },
      { role: "assistant" as const, content: textOf(first) },
      { role: "user" as const, content: "And?" },
    ];
    const usage = usageOf(await answer(request("ada", "", { turns })));
    expect(usage.cachedTokens).toBeGreaterThanOrEqual(usageOf(first).promptTokens);
    const other = usageOf(await answer(request("eve", "", { turns, conversation: "ada/main" })));
    expect(other.cachedTokens).toBeLessThan(60);
  });

  it("give the same text with a reload as without", async () => {
    const { answer } = await start({ slots: 1, contextTokens: 1024 });
    const { answer: plain } = await start({ slots: 1, contextTokens: 1024, kvCacheBytes: 0 });
    const turns = [{ role: "user" as const, content: long("x") }];
    const ask = async (on: typeof answer) => {
      const first = textOf(await on(request("ada", "", { turns })));
      await on(request("bob", long("y")));
      const again = [
        ...turns,
        { role: "assistant" as const, content: first },
        { role: "user" as const, content: "And?" },
      ];
      const second = await on(request("ada", "", { turns: again, maxTokens: 40 }));
      return { first, second: textOf(second), cached: usageOf(second).cachedTokens };
    };
    const [stored, processed] = [await ask(answer), await ask(plain)];
    expect(stored.cached).toBeGreaterThan(processed.cached);
    expect(stored.first).toBe(processed.first);
    expect(stored.second.slice(0, 20)).toBe(processed.second.slice(0, 20));
  });

  it("let several clients share one processed system text", async () => {
    const { engine, answer, stat } = await start({ slots: 4, contextTokens: 1024 });
    const system = long("shared rules");
    const tokens = await engine.provider.countTokens(system, countOptions);
    const all = await Promise.all(
      ["a", "b", "c", "d"].map((name) => answer(request(name, `I am ${name}`, { system }))),
    );
    const cached = all.map((parts) => usageOf(parts).cachedTokens);
    // The first request may be past the end of the text before a second one shows that the text is shared.
    expect(cached.filter((count) => count >= tokens).length).toBeGreaterThanOrEqual(2);
    await expect.poll(() => stat("cached_shared_tokens_total")).toBeGreaterThanOrEqual(tokens * 2);
  });

  it("prepare a client's context before its first request", async () => {
    const { engine, answer, stat } = await start({ slots: 2, contextTokens: 1024 });
    const context = long("my context");
    const { system } = request("ada", "");
    engine.provider.prepare({ system, context, principal: person("ada") });
    await expect.poll(() => stat("parked_states")).toBe(1);
    const usage = usageOf(await answer(request("ada", "Hello", { context })));
    expect(usage.cachedTokens).toBeGreaterThanOrEqual(
      await engine.provider.countTokens(context, countOptions),
    );
    const other = usageOf(await answer(request("bob", "Hello", { context })));
    expect(other.cachedTokens).toBeLessThan(60);
  });

  it("preempt an answer of a client over its fair share without losing any of its text", async () => {
    const { engine, answer, stat } = await start({ slots: 2, contextTokens: 2048 });
    const { answer: alone } = await start({ slots: 2, contextTokens: 2048 });
    const greedyRequests = [1, 2].map((index) =>
      request("greedy", `${index} ${long("text")}`, { conversation: `greedy/${index}`, maxTokens: 800 }),
    );
    const expected: string[] = [];
    for (const it of greedyRequests) expected.push(textOf(await alone(it)));
    let begun = 0;
    const slow = greedyRequests.map(async (it) => {
      const parts: SeenPart[] = [];
      for await (const part of partsOf(engine.provider, it)) {
        parts.push(part);
        if (part.type === "started") begun++;
      }
      return parts;
    });
    await expect.poll(() => begun, { interval: 5 }).toBe(2);
    const quick = answer(request("modest", "Hello", { maxTokens: 5 }));
    expect(usageOf(await quick).completionTokens).toBeGreaterThan(0);
    const all = await Promise.all(slow);
    expect(all.map((parts) => parts.filter(({ type }) => type === "started").length)).toEqual([1, 1]);
    // A batch of two rounds differently from a single sequence, so a long answer may differ from its twin near the end.
    for (const [index, parts] of all.entries()) {
      expect(textOf(parts).slice(0, 40)).toBe(expected[index]?.slice(0, 40));
      expect(usageOf(parts).completionTokens).toBeGreaterThan(20);
    }
    await expect.poll(() => stat("parkings_total")).toBeGreaterThanOrEqual(1);
  });

  it("continue a preempted JSON answer where it stopped", async () => {
    const { engine, answer, stat } = await start({ slots: 2, contextTokens: 2048 });
    const jsonSchema = {
      type: "object",
      properties: {
        list: { type: "array", items: { enum: ["alpha", "beta", "gamma"] }, minItems: 60, maxItems: 80 },
      },
      required: ["list"],
    };
    let begun = 0;
    const slow = [1, 2].map(async (index) => {
      const it = request("greedy", long("text"), {
        conversation: `greedy/${index}`,
        jsonSchema,
        maxTokens: 1500,
      });
      const parts: SeenPart[] = [];
      for await (const part of partsOf(engine.provider, it)) {
        parts.push(part);
        if (parts.filter(({ type }) => type === "text-delta").length === 40) begun++;
      }
      return parts;
    });
    await expect.poll(() => begun, { interval: 2 }).toBeGreaterThanOrEqual(2);
    await answer(request("modest", "Hello", { maxTokens: 5 }));
    for (const parts of await Promise.all(slow)) {
      const { list } = JSON.parse(textOf(parts)) as { list: string[] };
      expect(list.length).toBeGreaterThanOrEqual(60);
      expect(list.every((word) => ["alpha", "beta", "gamma"].includes(word))).toBe(true);
    }
    await expect.poll(() => stat("parkings_total")).toBeGreaterThanOrEqual(1);
  });

  it("are files readable by the current user only, and are deleted with the engine", async () => {
    const { engine, answer, stat } = await start({ slots: 1, contextTokens: 1024 });
    await answer(request("ada", long("ada")));
    await answer(request("bob", long("bob")));
    // One state is stored by the eviction, the other while the engine is idle.
    await expect.poll(() => stat("parked_states")).toBe(2);
    const { pid } = engine.supervisor;
    const folder = readdirSync("/dev/shm").find((name) => name.startsWith(`chat-engine-kv-${pid}-`));
    expect(statSync(`/dev/shm/${folder}`).mode & 0o777).toBe(0o700);
    const files = readdirSync(`/dev/shm/${folder}`).map((name) => statSync(`/dev/shm/${folder}/${name}`));
    expect(files.map(({ mode }) => mode & 0o777)).toEqual([0o600, 0o600]);
    expect(stat("parked_bytes")).toBe(files.reduce((sum, { size }) => sum + size, 0));
    process.kill(pid ?? 0, "SIGKILL");
    await expect.poll(() => engine.supervisor.pid !== pid && engine.supervisor.status().state).toBe("ready");
    // The next engine removes the files of a killed one, and its own when it stops.
    expect(readdirSync("/dev/shm")).not.toContain(folder);
    const next = `chat-engine-kv-${engine.supervisor.pid}-`;
    const own = () => readdirSync("/dev/shm").filter((name) => name.startsWith(next));
    expect(own()).toHaveLength(1);
    await engine.stop();
    expect(own()).toEqual([]);
    running.splice(0);
  });

  it("are not kept if the KV cache is switched off", async () => {
    const { engine, answer, stat } = await start({ slots: 1, kvCacheBytes: 0 });
    await answer(request("ada", long("ada")));
    await answer(request("bob", long("bob")));
    expect(stat("parked_states")).toBe(0);
    const prefix = `chat-engine-kv-${engine.supervisor.pid}-`;
    expect(readdirSync("/dev/shm").filter((name) => name.startsWith(prefix))).toEqual([]);
  });
});
