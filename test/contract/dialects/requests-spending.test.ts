import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatRequest, Finish, StreamPart } from "../../../src/providers/provider.ts";
import { limitSpending } from "../../../src/providers/spend-limited-provider.ts";
import { chatRequest } from "../../support/chat-request.ts";
import { event, finishChunk, roleChunk, status, textChunk } from "../../support/fault-scripts.ts";
import {
  startFaultServer,
  type FaultScript,
  type FaultServer,
  type FaultStep,
} from "../../support/fault-server.ts";
import fc from "../../support/property-tests.ts";
import { remoteNames, remoteProvider } from "../../support/remote-provider.ts";
import { asRemote, guardOf } from "../../support/remote-spending.ts";

/** Number of misbehaviours that are tried with each provider. */
const RUNS = 200;
const contextTokens = 4096;

const send = (text: string): FaultStep => ({ send: text });
const choice = (index: number, delta: object, finish_reason: string | null = null) => ({
  index,
  delta,
  finish_reason,
});
const chunk = (...choices: readonly object[]): FaultStep => send(event({ choices }));

const piece = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: "grapheme", maxLength: 30 }),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.constantFrom("", " ", "x", "word ", "{", "}", '{"a":1}', "<think>", "long ".repeat(200)),
);
const count = fc.oneof(
  fc.integer({ min: -10, max: 60 }),
  fc.constantFrom<unknown>(null, undefined, "7", 2.5, -1e9, 1e5, 1e9, 1e308, Number.MAX_SAFE_INTEGER, [], {}),
);
const usage = fc.oneof(
  fc.record({ prompt_tokens: count, completion_tokens: count, total_tokens: count }),
  fc.constantFrom<unknown>(null, [], 5, "all", {}),
);
const reason = fc.constantFrom(
  "stop",
  "length",
  "eos_token",
  "",
  "null",
  "abort",
  "content_filter",
  "tool_calls",
  "MAX",
);

/** One step of a server that keeps to no protocol. */
const step: fc.Arbitrary<FaultStep> = fc.oneof(
  { weight: 12, arbitrary: piece.map((text) => send(textChunk(text))) },
  { weight: 2, arbitrary: usage.map((counted) => send(event({ choices: [], usage: counted }))) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(piece, usage)
      .map(([content, counted]) => send(event({ choices: [choice(0, { content })], usage: counted }))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(piece, piece)
      .map(([a, b]) => chunk(choice(0, { content: a }), choice(1, { content: b }))),
  },
  { weight: 1, arbitrary: piece.map((content) => chunk(choice(1, { content }, "stop"))) },
  { weight: 1, arbitrary: piece.map((text) => chunk(choice(0, { content: [{ type: "text", text }] }))) },
  { weight: 1, arbitrary: piece.map((text) => chunk(choice(0, { reasoning_content: text, refusal: null }))) },
  { weight: 2, arbitrary: reason.map((word) => send(finishChunk(word))) },
  {
    weight: 1,
    arbitrary: fc.tuple(piece, reason).map(([content, word]) => chunk(choice(0, { content }, word))),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(
        event("[DONE]"),
        event(""),
        event("{"),
        event([]),
        event("null"),
        ": ping\n\n",
        "event: error\n",
        event({ error: { message: "boom", type: "server_error" } }),
        event({ error: "max_tokens must be between 1 and 3" }),
        event({ detail: "System role not supported" }),
      )
      .map(send),
  },
  { weight: 1, arbitrary: fc.constantFrom<FaultStep>({ cut: true }, { waitMs: 3 }) },
);

/** A refusal before the answer, right or wrong. */
const refusal = fc.constantFrom(
  "max_tokens must be between 1 and 3",
  "max_tokens must be at least 50",
  "max_tokens is too large",
  "Unsupported parameter: 'max_tokens' is not supported with this model.",
  "Unsupported parameter: 'stream_options'",
  "maximum context length is 40 tokens. However, you requested 20 in the messages",
  "System role not supported",
  "unknown",
);

interface Misbehaviour {
  readonly refusals: readonly string[];
  readonly steps: readonly FaultStep[];
  /** Whether the answer ends as it should after all steps. */
  readonly ends: boolean;
  readonly maxTokens: number;
  readonly json: boolean;
  /** Number of texts after which the client cancels. */
  readonly cancelAfter: number;
}

const misbehaviour: fc.Arbitrary<Misbehaviour> = fc.record({
  refusals: fc.array(refusal, { maxLength: 3 }),
  steps: fc.array(step, { maxLength: 60 }),
  ends: fc.boolean(),
  maxTokens: fc.integer({ min: 1, max: 60 }),
  json: fc.boolean(),
  cancelAfter: fc.oneof({ weight: 4, arbitrary: fc.constant(Infinity) }, fc.integer({ min: 1, max: 10 })),
});

function scriptOf({ steps, ends }: Misbehaviour): FaultScript {
  const ending = ends ? [send(finishChunk("stop")), send(event("[DONE]"))] : [];
  return { steps: [send(roleChunk()), ...steps, ...ending] };
}

interface Outcome {
  readonly texts: readonly string[];
  readonly tokens: number;
  readonly finish: Finish | undefined;
  readonly spent: number;
}

describe.each(remoteNames)("after any misbehaviour of the %s provider's server", (name) => {
  let server: FaultServer;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());

  async function outcomeOf(fault: Misbehaviour): Promise<Outcome> {
    const guard = guardOf(1_000_000);
    const provider = limitSpending(asRemote(remoteProvider(name, server.baseUrl, { contextTokens })), guard);
    const scripts = fault.refusals.map((message) => status(400, { error: { message } }));
    server.play(() => scripts.shift() ?? scriptOf(fault));
    const controller = new AbortController();
    const texts: string[] = [];
    let tokens = 0;
    const onPart = (part: StreamPart): void => {
      if (part.type !== "text-delta") return;
      texts.push(part.text);
      tokens += part.tokens;
      if (texts.length === fault.cancelAfter) controller.abort(new Error("enough"));
    };
    const changes: Partial<ChatRequest> = {
      maxTokens: fault.maxTokens,
      ...(fault.json && { jsonSchema: { type: "object" } }),
    };
    const finish = await provider
      .stream(chatRequest("Hi", changes), { signal: controller.signal, onPart })
      .catch(() => undefined);
    await provider.close();
    return { texts, tokens, finish, spent: guard.usedToday() };
  }

  it(
    "the tokens spent cover those delivered, and those delivered the limit",
    { timeout: 120_000 },
    async () => {
      let delivered = 0;
      let cut = 0;
      await fc.assert(
        fc.asyncProperty(misbehaviour, async (fault) => {
          const { texts, tokens, finish, spent } = await outcomeOf(fault);
          expect(spent).toBeGreaterThanOrEqual(tokens);
          expect(spent).toBeGreaterThanOrEqual(texts.length);
          if (finish) expect(spent).toBeGreaterThanOrEqual(finish.usage.completionTokens);
          // Two JSON answers, each with prompt and answer, at most.
          expect(spent).toBeLessThanOrEqual(12 * contextTokens);
          expect(tokens).toBeLessThanOrEqual(fault.maxTokens);
          expect(texts.length).toBeLessThanOrEqual(fault.maxTokens);
          expect(texts.join("").length).toBeLessThanOrEqual(8 * fault.maxTokens);
          delivered += tokens;
          if (finish?.reason === "length") cut++;
        }),
        { numRuns: RUNS },
      );
      // The servers misbehaved, but not so badly that there was nothing to count.
      expect(delivered).toBeGreaterThan(0);
      expect(cut).toBeGreaterThan(0);
    },
  );
});
