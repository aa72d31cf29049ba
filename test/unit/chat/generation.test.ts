import { describe, expect, it } from "vitest";
import { generate } from "../../../src/chat/generation.ts";
import type { AnswerPart, AnswerSource, Finish } from "../../../src/providers/provider.ts";
import { MemoryAnswerLog } from "../../../src/stores/memory/memory-answer-log.ts";
import { chatRequest } from "../../support/chat-request.ts";
import { CountingMetrics } from "../../support/counting-metrics.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const started = (provider: string, promptTokens: number, cachedTokens = 0, droppedTurns = 0) =>
  ({
    type: "started",
    provider,
    model: `${provider}-model`,
    droppedTurns,
    ...(provider === "openai" && { contextTokens: 8192 }),
    promptTokens,
    cachedTokens,
  }) as const;
const delta = (text: string, tokens = 1) => ({ type: "text-delta", text, tokens }) as const;
const fallback = (phase: "before_first_token" | "mid_stream") =>
  ({ type: "fallback", fromProvider: "local", toProvider: "openai", phase, reason: "it failed" }) as const;

/** Runs `generate` on a provider that emits these parts. */
async function run(
  parts: readonly AnswerPart[],
  finish: Finish,
  streamed = true,
  command: string | null = null,
) {
  const clock = new VirtualClock();
  const metrics = new CountingMetrics();
  const log = new MemoryAnswerLog({
    maxAnswerBytes: 1000,
    budgetBytes: 1_000_000,
    reservedShare: 0,
    retentionMs: 1000,
    clock,
  });
  const writer = log.create({
    answer: "a",
    id: "m",
    client: "c",
    accountKey: "c",
    conversation: "c",
    command,
  });
  const states: string[] = [];
  const provider: AnswerSource = {
    name: "local",
    describe: () => ({ model: "local-model", contextTokens: 512 }),
    countTokens: (text) => Promise.resolve(text.length),
    stream(_request, { onPart }) {
      for (const part of parts) {
        onPart(part);
        states.push(`${part.type} ${metrics.waiting} ${metrics.running}`);
      }
      return Promise.resolve(finish);
    },
  };
  const generation = await generate({
    provider,
    request: chatRequest("Hi"),
    signal: new AbortController().signal,
    stop: () => {},
    writer,
    streamed,
    arrivedAt: clock.now(),
    clock,
    metrics,
  });
  return { generation, reader: writer.reader, metrics, states };
}

describe("generate with several providers", () => {
  it("joins the texts, records the fallback at its offset, and reports the last provider", async () => {
    const { generation, reader } = await run(
      [started("local", 10, 4), delta("Grü"), fallback("mid_stream"), started("openai", 30), delta("ße")],
      { reason: "stop", usage: { promptTokens: 31, completionTokens: 2, cachedTokens: 5 } },
    );
    expect(generation).toMatchObject({ text: "Grüße", provider: "openai", model: "openai-model" });
    expect(reader.read(0)).toBe("Grüße");
    expect(reader.events).toEqual([
      {
        type: "fallback",
        offset: 4,
        fromProvider: "local",
        toProvider: "openai",
        phase: "mid_stream",
        reason: "it failed",
      },
    ]);
  });

  it("adds up the usage of all providers, including dropped text", async () => {
    const { generation, metrics } = await run(
      [
        started("local", 10, 4),
        delta("a", 3),
        fallback("mid_stream"),
        started("openai", 30),
        delta("", 7),
        fallback("mid_stream"),
        started("openai", 20),
        delta("b", 2),
      ],
      {
        reason: "stop",
        usage: { promptTokens: 21, completionTokens: 2, cachedTokens: 5, estimated: true },
      },
    );
    expect(generation.usage).toEqual({
      promptTokens: 61,
      completionTokens: 12,
      cachedTokens: 9,
      estimated: true,
    });
    expect(Object.fromEntries(metrics.tokenCounts)).toEqual({ prompt: 61, completion: 12, cached: 9 });
  });

  it("reports the window of the provider that ended the answer", async () => {
    const usage = { promptTokens: 31, completionTokens: 2, cachedTokens: 0 };
    const local = await run([started("local", 10), delta("a")], { reason: "stop", usage });
    expect(local.generation.context).toEqual({ tokens: 33, limit: 512 });
    const both = [
      started("local", 10),
      delta("a"),
      fallback("mid_stream"),
      started("openai", 20),
      delta("b"),
    ];
    const openai = await run(both, { reason: "stop", usage });
    expect(openai.generation.context).toEqual({ tokens: 33, limit: 8192 });
  });

  it("records once that turns were left out, before the text, and not for a command", async () => {
    const parts = [
      started("local", 10, 0, 4),
      delta("Grü"),
      fallback("mid_stream"),
      started("openai", 30, 0, 6),
      delta("ße"),
    ];
    const finish = {
      reason: "stop",
      usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 },
    } as const;
    const { reader } = await run(parts, finish);
    expect(reader.events.filter(({ type }) => type === "history_cut")).toEqual([
      { type: "history_cut", offset: 0, turns: 4 },
    ]);
    const late = await run(
      [started("local", 10), delta("a"), fallback("mid_stream"), started("openai", 30, 0, 2)],
      finish,
    );
    expect(late.reader.events.at(-1)).toEqual({ type: "history_cut", offset: 1, turns: 2 });
    const command = await run([started("local", 10, 0, 4), delta("a")], finish, true, "summarize");
    expect(command.reader.events).toEqual([]);
  });

  it("counts as waiting between two providers, and counts a retried provider once", async () => {
    const { states, metrics } = await run(
      [
        started("local", 10),
        started("local", 10),
        fallback("before_first_token"),
        { type: "queued", position: 1 },
        started("openai", 10),
        delta("a"),
      ],
      { reason: "stop", usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } },
    );
    expect(states).toEqual([
      "started 0 1",
      "started 0 1",
      "fallback 1 0",
      "queued 1 0",
      "started 0 1",
      "text-delta 0 1",
    ]);
    expect([metrics.waiting, metrics.running, metrics.underflow]).toEqual([0, 0, false]);
    expect(metrics.finished).toEqual(["openai stop"]);
  });
});
