import { afterEach, describe, expect, it } from "vitest";
import type { Clock } from "../../../../src/core/clock.ts";
import { CostModel } from "../../../../src/engine/estimates/cost-model.ts";
import type { PreparedRequest } from "../../../../src/engine/ports.ts";
import { FairQueue } from "../../../../src/engine/scheduling/fair-queue.ts";
import { RequestState } from "../../../../src/engine/generation/request-state.ts";
import { MAX_GUESSES, PromptLookup } from "../../../../src/engine/speculation/prompt-lookup.ts";
import { Slot } from "../../../../src/engine/generation/slot.ts";
import { TickLoop } from "../../../../src/engine/loop/tick-loop.ts";
import {
  FakeContext,
  FIRST_ANSWER_TOKEN,
  isOver,
  preparedRequest,
  recordedEvents,
  until,
} from "../../../support/fake-sequence.ts";

const LETTERS = 7;
const letter = (token: number): string => "abcdefg"[token - FIRST_ANSWER_TOKEN] ?? "?";
const answerOf = (count: number): string =>
  Array.from({ length: count }, (_, index) => letter(FIRST_ANSWER_TOKEN + (index % LETTERS))).join("");

/** A model that repeats `abcdefg`. A batch takes 10 ms, and 1 ms for each token of its longest item. */
function setUp(slotCount = 2, on = true) {
  const lookup = on ? new PromptLookup() : undefined;
  const context = new FakeContext();
  context.tokenAfter = (last) =>
    last >= FIRST_ANSWER_TOKEN
      ? FIRST_ANSWER_TOKEN + ((last - FIRST_ANSWER_TOKEN + 1) % LETTERS)
      : FIRST_ANSWER_TOKEN;
  let now = 0;
  context.onBatch = () => {
    const tokens = context.batches.at(-1)?.items.map((item) => item.tokens) ?? [];
    now += 10 + Math.max(0, ...tokens);
  };
  const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
  const sequences = Array.from({ length: slotCount }, (_, id) => context.sequence(id));
  const queue = new FairQueue<RequestState>({ requests: 100, promptTokens: 1_000_000, background: 10 });
  const cost = new CostModel(1);
  const faults: unknown[] = [];
  const loop = new TickLoop({
    slots: sequences.map((sequence) => new Slot(sequence)),
    queue,
    cost,
    ...(lookup && { lookup }),
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 64, tileTokens: 1 },
    clock,
    flush: () => {},
    onFault: (error) => faults.push(error),
  });
  void loop.start();
  running.push(loop);
  const submit = (changes: Partial<PreparedRequest> = {}) => {
    const events = recordedEvents();
    const detokenize = (tokens: readonly number[]) => tokens.map(letter).join("");
    const request = new RequestState(preparedRequest(6, changes), events, detokenize);
    loop.submit(request);
    return { events, request };
  };
  return { context, sequences, loop, queue, cost, lookup, faults, submit };
}

const over = ({ events }: { events: { lines: string[] } }) => isOver(events);
const running: TickLoop[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((loop) => loop.stop()));
});

describe("prompt lookup", () => {
  it("generates a repetitive answer in fewer steps with the same text and usage", async () => {
    const { submit, context, loop } = setUp();
    const plain = setUp(2, false);
    const [one, other] = [submit({ maxTokens: 200 }), plain.submit({ maxTokens: 200 })];
    await until(() => over(one) && over(other));
    expect(one.events.text()).toBe(answerOf(200));
    expect(other.events.text()).toBe(answerOf(200));
    expect(one.events.lines.at(-1)).toBe("finished length 6 200 0");
    expect(context.batches.length).toBeLessThan(plain.context.batches.length / 4);
    const { guessedTokens, acceptedTokens } = loop.stats();
    expect(acceptedTokens).toBe(200 - context.batches.length);
    expect(guessedTokens).toBe(acceptedTokens);
  });

  it("guesses the continuation of the same tokens in the prompt", async () => {
    const { submit, lookup } = setUp();
    const tokens = [1, ...Array.from({ length: 7 }, (_, index) => FIRST_ANSWER_TOKEN + index), 2];
    // The answer is one cycle of the letters, so it can repeat only the prompt.
    const one = submit({ tokens, maxTokens: LETTERS });
    await until(() => over(one));
    expect(one.events.text()).toBe(answerOf(LETTERS));
    expect(lookup?.accepted).toBeGreaterThan(0);
  });

  it.each(Array.from({ length: 9 }, (_, index) => 40 + index))(
    "keeps and charges no token past the end of an answer of %i tokens",
    async (count) => {
      const { submit, sequences, lookup } = setUp(1);
      const ends = { limit: { maxTokens: count }, stop: { maxTokens: 200, stop: [answerOf(count)] } };
      for (const [reason, changes] of Object.entries(ends)) {
        const one = submit(changes);
        await until(() => over(one));
        const finishReason = reason === "limit" ? "length" : "stop";
        expect(one.events.lines.at(-1)).toMatch(new RegExp(`^finished ${finishReason} 6 ${count} [01]$`));
        expect(one.events.text()).toBe(reason === "limit" ? answerOf(count) : "");
        expect(one.request.paidTokens).toBe(6 + count);
        const { length } = sequences[0] as { length: number };
        expect(length).toBeLessThanOrEqual(6 + count);
        expect(sequences[0]?.tokens()).toEqual(one.request.tokens(0, length));
      }
      expect(lookup?.accepted).toBeGreaterThan(20);
    },
  );

  it("ends at a stop token among right guesses", async () => {
    const { submit, sequences, context } = setUp(1);
    let draws = 0;
    const plain = context.tokenAfter;
    // The model ends the answer where the guesses would continue it.
    context.tokenAfter = (last) => (++draws === 50 ? FIRST_ANSWER_TOKEN + 100 : plain(last));
    const one = submit({ maxTokens: 200, stopTokens: new Set([FIRST_ANSWER_TOKEN + 100]) });
    await until(() => over(one));
    expect(one.events.lines.at(-1)).toBe("finished stop 6 49 0");
    expect(one.events.text()).toBe(answerOf(49));
    expect(sequences[0]?.length).toBeLessThanOrEqual(6 + 49);
  });

  it("removes wrong guesses from the KV", async () => {
    const { submit, sequences, context, lookup } = setUp(1);
    let draws = 0;
    const plain = context.tokenAfter;
    context.tokenAfter = (last) => (++draws % 30 === 0 ? FIRST_ANSWER_TOKEN + 3 : plain(last));
    const one = submit({ maxTokens: 150 });
    await until(() => over(one));
    expect(lookup?.guessed).toBeGreaterThan(lookup?.accepted ?? 0);
    expect(lookup?.accepted).toBeGreaterThan(0);
    expect(sequences[0]?.tokens()).toEqual(one.request.tokens(0, sequences[0]?.length));
  });

  it("pauses while another answer runs and resumes afterwards, with both texts complete", async () => {
    const { submit, context, lookup } = setUp(2);
    const long = submit({ maxTokens: 600 });
    await until(() => long.request.generatedTokens > 100);
    const other = submit({ maxTokens: 30, accountKey: "addr:b" });
    await until(() => other.request.generatedTokens > 0);
    const accepted = lookup?.accepted;
    await until(() => other.request.generatedTokens > 28);
    expect(lookup?.accepted).toBe(accepted);
    await until(() => over(long) && over(other));
    expect(lookup?.accepted).toBeGreaterThan(accepted ?? 0);
    expect(long.events.text()).toBe(answerOf(600));
    expect(other.events.text()).toBe(answerOf(30));
    for (const { items } of context.batches.filter(({ items: all }) => all.length === 2)) {
      expect(items.every(({ tokens }) => tokens <= MAX_GUESSES)).toBe(true);
    }
  });

  it("keeps the KV correct for the next turn after a cancel", async () => {
    const { submit, sequences, loop } = setUp(1);
    const one = submit({ maxTokens: 5000, conversation: "c" });
    await until(() => one.request.generatedTokens > 100);
    loop.cancel(one.request);
    const known = one.request.tokens();
    const next = submit({ tokens: [...known, 5], maxTokens: 3, conversation: "c" });
    await until(() => over(next));
    expect(next.request.cachedTokens).toBeGreaterThanOrEqual(known.length - 1);
    expect(sequences[0]?.tokens().slice(0, known.length)).toEqual(known);
  });

  it("fails only the affected answer when a step with guesses fails", async () => {
    const { submit, context, faults } = setUp(1);
    const one = submit({ maxTokens: 100 });
    await until(() => one.request.generatedTokens > 40);
    context.poison.add(FIRST_ANSWER_TOKEN + 2);
    await until(() => over(one));
    context.poison.clear();
    expect(one.events.lines.at(-1)).toBe("failed Eval has failed");
    expect(faults.length).toBeGreaterThan(0);
    const next = submit({ maxTokens: 50 });
    await until(() => over(next));
    expect(next.events.text()).toBe(answerOf(50));
  });

  it.each([
    ["a grammar", { grammarState: {} }],
    ["random sampling with a seed set by the request", { temperature: 1, reproducible: true }],
  ])(
    "makes no guesses for answers with %s",
    async (_, { grammarState, ...sampling }: Record<string, unknown>) => {
      const { submit, loop } = setUp();
      const changes = { sampling: { ...preparedRequest(1).sampling, ...sampling } };
      const one = submit({ maxTokens: 60, ...changes, ...(grammarState ? { grammarState } : {}) });
      await until(() => over(one));
      expect(one.events.text()).toBe(answerOf(60));
      expect(loop.stats().guessedTokens).toBe(0);
    },
  );

  it("excludes guess steps from the cost of a plain step but reports their time between tokens", async () => {
    const { submit, cost, loop } = setUp(1);
    const one = submit({ maxTokens: 2000 });
    await until(() => over(one));
    expect(cost.stepMs(1)).toBeCloseTo(10, 0);
    // Steps with 8 guesses take 18 ms and give 9 tokens.
    expect(loop.stats().tickMs).toBeGreaterThan(10);
  });
});
