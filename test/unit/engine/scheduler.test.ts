import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  chooseSlot,
  LEAST_CHUNK,
  planChunks,
  type TickInput,
  type TickLimits,
} from "../../../src/engine/scheduler.ts";

const input = fc
  .record({
    generating: fc.nat(16),
    remaining: fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 8 }),
    waiting: fc.nat(50),
  })
  .map(({ generating, remaining, waiting }): TickInput => ({
    generating,
    prefilling: remaining.map((tokens, id) => ({ id, remaining: tokens, depth: 0 })),
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
    promptTokenMsAt: () => promptTokenMs,
    stepMs: (count: number) => count * perSlot,
  }));
const limits: TickLimits = { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512 };

const quick = {
  promptTokenMsAt: () => 0.5,
  stepMs: (generating: number) => (generating > 0 ? 10 + generating : 0),
};

describe("planChunks", () => {
  it("keeps each step within the longest tick, save for one least chunk", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        const chunks = planChunks(state, price, limits);
        const tokens = chunks.reduce((sum, chunk) => sum + chunk.tokens, 0);
        const ms = price.stepMs(state.generating) + tokens * price.promptTokenMs;
        const least = chunks.length === 1 && tokens <= LEAST_CHUNK;
        expect(least || ms <= limits.maxTickMs + 1e-6).toBe(true);
        expect(tokens).toBeLessThanOrEqual(limits.batchTokens);
      }),
    );
  });

  it("always moves the prompt that came first, and breaks none off in a small chunk behind it", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        const chunks = planChunks(state, price, limits);
        expect(chunks[0]?.id).toBe(state.prefilling[0]?.id);
        for (const [index, { id, tokens }] of chunks.entries()) {
          const remaining = state.prefilling.find((slot) => slot.id === id)?.remaining ?? 0;
          expect(tokens).toBeGreaterThan(0);
          expect(tokens).toBeLessThanOrEqual(remaining);
          expect(tokens >= LEAST_CHUNK || tokens === remaining).toBe(true);
          // Behind the first one, whole prompts and at most one part, the last.
          expect(index === 0 || tokens === remaining || index === chunks.length - 1).toBe(true);
        }
      }),
    );
  });

  it("lets no prompt starve, however long the others are", () => {
    fc.assert(
      fc.property(input, cost, (state, price) => {
        let prefilling = state.prefilling;
        const most = state.prefilling.reduce((sum, slot) => sum + Math.ceil(slot.remaining / LEAST_CHUNK), 0);
        let steps = 0;
        while (prefilling.length > 0) {
          expect(++steps).toBeLessThanOrEqual(most);
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

  it("stays near the aim between two tokens while somebody generates and nobody waits", () => {
    const state = { generating: 4, prefilling: [{ id: 5, remaining: 2000, depth: 0 }], waiting: 0, slots: 8 };
    const [chunk] = planChunks(state, quick, limits);
    expect(chunk?.tokens).toBe((100 - 14) / 0.5);
  });

  it("loosens the aim up to the longest tick as others wait", () => {
    const state = { generating: 4, prefilling: [{ id: 5, remaining: 2000, depth: 0 }], waiting: 8, slots: 8 };
    const [chunk] = planChunks(state, quick, limits);
    expect(chunk?.tokens).toBe((250 - 14) / 0.5);
  });

  it("uses the longest tick when nobody generates", () => {
    const state = { generating: 0, prefilling: [{ id: 0, remaining: 2000, depth: 0 }], waiting: 0, slots: 8 };
    expect(planChunks(state, quick, limits)).toEqual([{ id: 0, tokens: 500 }]);
  });

  it("processes a short prompt whole", () => {
    const state = { generating: 4, prefilling: [{ id: 5, remaining: 200, depth: 0 }], waiting: 0, slots: 8 };
    expect(planChunks(state, quick, limits)).toEqual([{ id: 5, tokens: 200 }]);
  });

  it("adds further prompts as far as the time allows, but no small part of one", () => {
    const prefilling = [
      { id: 1, remaining: 40, depth: 0 },
      { id: 2, remaining: 90, depth: 0 },
      { id: 3, remaining: 20, depth: 0 },
      { id: 4, remaining: 900, depth: 0 },
    ];
    const plan = (maxTickMs: number) =>
      planChunks({ generating: 0, prefilling, waiting: 0, slots: 8 }, quick, { ...limits, maxTickMs });
    const whole = [
      { id: 1, tokens: 40 },
      { id: 2, tokens: 90 },
      { id: 3, tokens: 20 },
    ];
    expect(plan(250)).toEqual([...whole, { id: 4, tokens: 350 }]);
    // Half of the step would stay unused, and a little less than half.
    expect(plan(0.5 * 300)).toEqual([...whole, { id: 4, tokens: 150 }]);
    expect(plan(0.5 * 298)).toEqual(whole);
    expect(plan(0.5 * 79)).toEqual(whole.slice(0, 1));
  });

  it("plans nothing when there is no prompt", () => {
    expect(planChunks({ generating: 3, prefilling: [], waiting: 9, slots: 8 }, quick, limits)).toEqual([]);
  });
});

describe("chooseSlot", () => {
  const empty = (id: number) => ({ id, reusable: 0, same: false, kept: 0, lastUsed: 0 });

  it("prefers the slot that keeps the conversation", () => {
    const free = [empty(0), { id: 3, reusable: 400, same: true, kept: 450, lastUsed: 5 }];
    expect(chooseSlot(free, [], 500)).toBe(3);
  });

  it("takes an empty slot rather than one that keeps another conversation", () => {
    const free = [{ id: 0, reusable: 20, same: false, kept: 450, lastUsed: 5 }, empty(1)];
    expect(chooseSlot(free, [], 500)).toBe(1);
  });

  it("drops the conversation that was used the longest ago", () => {
    const free = [4, 2, 9].map((lastUsed, id) => ({ id, reusable: 20, same: false, kept: 100, lastUsed }));
    expect(chooseSlot(free, [], 500)).toBe(1);
  });

  it("keeps the active ids together where nothing else is at stake", () => {
    expect(chooseSlot([empty(0), empty(3), empty(6)], [4, 5], 100)).toBe(3);
    expect(chooseSlot([empty(2), empty(5)], [1, 3], 100)).toBe(2);
    expect(chooseSlot([empty(0), empty(1)], [], 100)).toBe(0);
  });

  it("refuses when no slot is free", () => {
    expect(() => chooseSlot([], [1], 10)).toThrow(RangeError);
  });
});
