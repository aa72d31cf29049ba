import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import {
  MIN_CHUNK,
  planChunks,
  tokensToKeep,
  type Prefilling,
  type TickInput,
  type TickLimits,
} from "../../../../src/engine/scheduling/chunk-plan.ts";
import type { PromptPart } from "../../../../src/engine/estimates/prompt-cost.ts";

const input = fc
  .record({
    generating: fc.nat(16),
    remaining: fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 8 }),
    stretch: fc.constantFrom(1, 3, 6),
    waiting: fc.nat(50),
  })
  .map(({ generating, remaining, stretch, waiting }): TickInput => ({
    generating,
    prefilling: remaining.map((tokens, id) => ({ id, remaining: tokens, depth: 0, draws: true })),
    stretch,
    waiting,
    slots: generating + remaining.length,
  }));
const cost = fc
  .record({
    promptTokenMs: fc.double({ min: 0.01, max: 20, noNaN: true }),
    perSlot: fc.double({ min: 0, max: 30, noNaN: true }),
  })
  .map(({ promptTokenMs, perSlot }) => ({
    promptTokenMs,
    promptTokenMsOf: () => promptTokenMs,
    stepMs: (count: number) => count * perSlot,
  }));
const limits: TickLimits = { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 };

const quick = {
  promptTokenMsOf: () => 0.5,
  stepMs: (generating: number) => (generating > 0 ? 10 + generating : 0),
};

describe("planChunks", () => {
  it("keeps each step within the longest tick, except for a single minimum chunk", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        const chunks = planChunks(state, price, limits);
        const tokens = chunks.reduce((sum, chunk) => sum + chunk.tokens, 0);
        const ms = price.stepMs(state.generating) + tokens * price.promptTokenMs;
        const minimum = chunks.length === 1 && tokens <= MIN_CHUNK;
        expect(minimum || ms <= limits.maxTickMs + 1e-6).toBe(true);
        expect(tokens).toBeLessThanOrEqual(limits.batchTokens);
      }),
    );
  });

  it("always advances the first prompt, and begins no other one with a small chunk", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        const chunks = planChunks(state, price, limits);
        expect(chunks[0]?.id).toBe(state.prefilling[0]?.id);
        for (const [index, { id, tokens }] of chunks.entries()) {
          const remaining = state.prefilling.find((slot) => slot.id === id)?.remaining ?? 0;
          expect(tokens).toBeGreaterThan(0);
          expect(tokens).toBeLessThanOrEqual(remaining);
          expect(tokens >= MIN_CHUNK || tokens === remaining).toBe(true);
          // The first chunk is followed by whole prompts and at most one part, which is the last.
          expect(index === 0 || tokens === remaining || index === chunks.length - 1).toBe(true);
        }
      }),
    );
  });

  it("starves no prompt, however long the others are", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        let prefilling = state.prefilling;
        const maxSteps = state.prefilling.reduce(
          (sum, slot) => sum + Math.ceil(slot.remaining / MIN_CHUNK),
          0,
        );
        let steps = 0;
        while (prefilling.length > 0) {
          expect(++steps).toBeLessThanOrEqual(maxSteps);
          const done = new Map(
            planChunks({ ...state, prefilling }, price, limits).map((c) => [c.id, c.tokens]),
          );
          prefilling = prefilling
            .map((slot) => ({ ...slot, remaining: slot.remaining - (done.get(slot.id) ?? 0) }))
            .filter((slot) => slot.remaining > 0);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("stays near the target while slots generate and no request waits", () => {
    const state = {
      generating: 4,
      prefilling: [{ id: 5, remaining: 2000, depth: 0, draws: true }],
      stretch: 1,
      waiting: 0,
      slots: 8,
    };
    const [chunk] = planChunks(state, quick, limits);
    expect(chunk?.tokens).toBe((100 - 14) / 0.5);
  });

  it("loosens the target up to the longest tick as requests wait", () => {
    const state = {
      generating: 4,
      prefilling: [{ id: 5, remaining: 2000, depth: 0, draws: true }],
      stretch: 1,
      waiting: 8,
      slots: 8,
    };
    const [chunk] = planChunks(state, quick, limits);
    expect(chunk?.tokens).toBe((250 - 14) / 0.5);
  });

  it("begins the next prompt with the rest of a step, even where no tile fits", () => {
    const state = {
      generating: 10,
      prefilling: [
        { id: 11, remaining: 1, depth: 95, draws: true },
        { id: 12, remaining: 96, depth: 0, draws: true },
      ],
      stretch: 3,
      waiting: 4,
      slots: 16,
    };
    const slow = { promptTokenMsOf: () => 5, stepMs: () => 90 };
    expect(planChunks(state, slow, { ...limits, tileTokens: 64 })).toEqual([
      { id: 11, tokens: 1 },
      { id: 12, tokens: (250 - 90 - 5) / 5 },
    ]);
  });

  it("gives prompts their share of the step, up to the longest tick", () => {
    const state = {
      generating: 6,
      prefilling: [{ id: 7, remaining: 2000, depth: 0, draws: true }],
      stretch: 3,
      waiting: 0,
      slots: 8,
    };
    const slow = { promptTokenMsOf: () => 2, stepMs: (generating: number) => 10 * generating };
    expect(Math.abs((planChunks(state, slow, limits)[0]?.tokens ?? 0) - (180 - 60) / 2)).toBeLessThan(2);
    expect(planChunks({ ...state, generating: 12 }, slow, limits)).toEqual([
      { id: 7, tokens: (250 - 120) / 2 },
    ]);
  });

  it("uses the longest tick when no slot generates", () => {
    const state = {
      generating: 0,
      prefilling: [{ id: 0, remaining: 2000, depth: 0, draws: true }],
      stretch: 1,
      waiting: 0,
      slots: 8,
    };
    expect(planChunks(state, quick, limits)).toEqual([{ id: 0, tokens: 500 }]);
  });

  it("processes a short prompt in one chunk", () => {
    const state = {
      generating: 4,
      prefilling: [{ id: 5, remaining: 200, depth: 0, draws: true }],
      stretch: 1,
      waiting: 0,
      slots: 8,
    };
    expect(planChunks(state, quick, limits)).toEqual([{ id: 5, tokens: 200 }]);
  });

  it("adds further prompts as far as the time allows, but no small part of one", () => {
    const prefilling = [
      { id: 1, remaining: 40, depth: 0, draws: true },
      { id: 2, remaining: 90, depth: 0, draws: true },
      { id: 3, remaining: 20, depth: 0, draws: true },
      { id: 4, remaining: 900, depth: 0, draws: true },
    ];
    const plan = (maxTickMs: number) =>
      planChunks({ generating: 0, prefilling, stretch: 1, waiting: 0, slots: 8 }, quick, {
        ...limits,
        maxTickMs,
      });
    const whole = [
      { id: 1, tokens: 40 },
      { id: 2, tokens: 90 },
      { id: 3, tokens: 20 },
    ];
    expect(plan(250)).toEqual([...whole, { id: 4, tokens: 350 }]);
    // Without the part, half of the step would stay unused; in the next plan, a little less than half.
    expect(plan(0.5 * 300)).toEqual([...whole, { id: 4, tokens: 150 }]);
    expect(plan(0.5 * 298)).toEqual(whole);
    expect(plan(0.5 * 79)).toEqual(whole.slice(0, 1));
  });

  it("plans nothing when there is no prompt", () => {
    expect(
      planChunks({ generating: 3, prefilling: [], stretch: 1, waiting: 9, slots: 8 }, quick, limits),
    ).toEqual([]);
  });
});

// Cost per token measured with SmolLM2-135M on a CPU, in chunks that fill a tile and in shorter ones.
const tiled = {
  promptTokenMsOf: ({ tokens, depth }: PromptPart) =>
    0.6 + (tokens < 64 ? 0.0025 : 0.001) * (depth + tokens / 2),
  stepMs: (generating: number) => (generating > 0 ? 10 + generating : 0),
};
const tiles: TickLimits = { ...limits, tileTokens: 64 };

describe("planChunks with tiles", () => {
  const plan = (generating: number, prefilling: readonly Prefilling[], changes: Partial<TickLimits> = {}) =>
    planChunks({ generating, prefilling, stretch: 1, waiting: 0, slots: 16 }, tiled, {
      ...tiles,
      ...changes,
    });

  it("cuts whole tiles off a long prompt", () => {
    const long = { id: 0, remaining: 2000, depth: 0, draws: true };
    expect(plan(0, [long])[0]?.tokens).toBe(256);
    expect(plan(8, [long])[0]?.tokens).toBe(64);
  });

  it("fills a tile that exceeds the target by a little, but never one that exceeds the longest step", () => {
    const deep = { id: 0, remaining: 500, depth: 1000, draws: true };
    expect(plan(8, [deep])[0]?.tokens).toBe(64);
    expect(plan(8, [deep], { maxTickMs: 110 })[0]?.tokens).toBeLessThan(32);
    expect(plan(8, [{ ...deep, depth: 8000 }])[0]?.tokens).toBe(MIN_CHUNK);
  });

  it("fills a tile with the end of a prompt although that exceeds the target", () => {
    const end = { id: 0, remaining: 63, depth: 1500, draws: true };
    expect(plan(8, [end])[0]?.tokens).toBe(63);
  });

  it("never plans a chunk below the minimum where length makes no difference", () => {
    const cost = {
      promptTokenMsOf: ({ tokens, depth }: PromptPart) => (tokens < 1 ? 3 : 0.5 + 0.001 * depth),
      stepMs: () => 120,
    };
    const long = { id: 0, remaining: 300, depth: 0, draws: true };
    const state = { generating: 8, prefilling: [long], stretch: 1, waiting: 0, slots: 16 };
    expect(planChunks(state, cost, limits)[0]?.tokens).toBe(MIN_CHUNK);
  });

  it("counts the token that draws as part of the tile", () => {
    const prompts = [63, 63, 63].map((remaining, id) => ({ id, remaining, depth: 400, draws: true }));
    expect(plan(0, prompts).map(({ tokens }) => tokens)).toEqual([63, 63, 63]);
    const silent = prompts.map((prompt) => ({ ...prompt, draws: false }));
    expect(plan(0, silent)).toHaveLength(2);
  });

  it("leaves out a prompt token where only the token that draws does not fit", () => {
    const prompt = { id: 0, remaining: 40, depth: 200, draws: true };
    const partMs = 40 * tiled.promptTokenMsOf({ tokens: 40, depth: 200 });
    const wholeMs = 40 * tiled.promptTokenMsOf({ tokens: 41, depth: 200 });
    expect(wholeMs).toBeGreaterThan(partMs);
    expect(plan(0, [prompt], { maxTickMs: wholeMs })[0]?.tokens).toBe(40);
    expect(plan(0, [prompt], { maxTickMs: (partMs + wholeMs) / 2 })[0]?.tokens).toBe(39);
  });

  it("does not split a tile to fill a step", () => {
    const prompts = [0, 1, 2, 3].map((id) => ({ id, remaining: 63, depth: 600, draws: true }));
    expect(plan(0, prompts).map(({ tokens }) => tokens)).toEqual([63, 63, 63]);
  });

  it("keeps each step within the longest tick, except for a single minimum chunk, at any cost per token", () => {
    const prefilling = fc.array(
      fc.record({ remaining: fc.integer({ min: 1, max: 3000 }), depth: fc.nat(4000), draws: fc.boolean() }),
      { minLength: 1, maxLength: 8 },
    );
    fc.assert(
      fc.property(
        prefilling,
        fc.nat(16),
        fc.double({ min: 0.05, max: 20, noNaN: true }),
        (prompts, busy, factor) => {
          const cost = {
            promptTokenMsOf: (part: PromptPart) => factor * tiled.promptTokenMsOf(part),
            stepMs: tiled.stepMs,
          };
          const state = {
            generating: busy,
            prefilling: prompts.map((prompt, id) => ({ id, ...prompt })),
            stretch: 1,
            waiting: 0,
            slots: 24,
          };
          const chunks = planChunks(state, cost, tiles);
          const ms = chunks.reduce((sum, { id, tokens }) => {
            const { depth = 0, draws, remaining } = prompts[id] ?? {};
            const drawn = draws === true && tokens === remaining ? 1 : 0;
            return sum + tokens * cost.promptTokenMsOf({ tokens: tokens + drawn, depth });
          }, cost.stepMs(busy));
          const minimum = chunks.length === 1 && (chunks[0]?.tokens ?? 0) <= MIN_CHUNK;
          expect(minimum || ms <= tiles.maxTickMs + 1e-6).toBe(true);
        },
      ),
    );
  });
});

describe("tokensToKeep", () => {
  it("drops enough tokens to fill a tile where that is quicker", () => {
    expect(tokensToKeep({ length: 450, kept: 400, generating: 0 }, tiled, tiles)).toBe(386);
    expect(tokensToKeep({ length: 450, kept: 430, generating: 0 }, tiled, tiles)).toBe(430);
  });

  it("keeps all tokens where a tile is full, near the start of a prompt, and where length makes no difference", () => {
    expect(tokensToKeep({ length: 450, kept: 380, generating: 0 }, tiled, tiles)).toBe(380);
    expect(tokensToKeep({ length: 200, kept: 150, generating: 0 }, tiled, tiles)).toBe(150);
    expect(tokensToKeep({ length: 100, kept: 50, generating: 0 }, tiled, tiles)).toBe(50);
    expect(tokensToKeep({ length: 450, kept: 400, generating: 0 }, tiled, limits)).toBe(400);
  });

  it("keeps all tokens where a tile does not fit into a step", () => {
    const beside = (generating: number) => ({ length: 450, kept: 400, generating });
    expect(tokensToKeep(beside(16), tiled, { ...tiles, maxTickMs: 100 })).toBe(386);
    expect(tokensToKeep(beside(16), tiled, { ...tiles, maxTickMs: 80 })).toBe(400);
    expect(tokensToKeep({ length: 450, kept: 400, generating: 0 }, tiled, { ...tiles, maxTickMs: 50 })).toBe(
      400,
    );
  });
});
