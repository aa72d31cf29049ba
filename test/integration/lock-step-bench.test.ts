import { describe, expect, it } from "vitest";
import { measureLockStep, mostToWin } from "../bench/engine/lock-step.ts";
import { findModel } from "../bench/engine/models.ts";

describe("the lock-step bench", () => {
  it("measures passes of the requested counts, a single pass and a prompt", async () => {
    const model = await findModel("tiny");
    const { passes, single, promptToken } = await measureLockStep({
      model,
      threads: 1,
      chats: [2, 8],
      rounds: 3,
      promptTokens: 20,
    });
    expect(passes.map(({ chats }) => chats)).toEqual([2, 8]);
    for (const { least, median, most } of [...passes.map(({ ms }) => ms), single, promptToken]) {
      expect(least).toBeGreaterThan(0);
      expect(median).toBeGreaterThanOrEqual(least);
      expect(most).toBeGreaterThanOrEqual(median);
    }
  });

  it("includes the prompts in the speed-up", () => {
    const ms = (median: number) => ({ median, least: median, most: median });
    const costs = { single: ms(30), promptToken: ms(10) };
    // 1,000 ms of prompt on both sides, and 50 tokens of 30 ms against 50 tokens of 10 ms.
    expect(mostToWin(8, 80, costs, { promptTokens: 100, answerTokens: 50 })).toBeCloseTo(2500 / 1500);
    expect(mostToWin(8, 80, costs, { promptTokens: 0, answerTokens: 50 })).toBeCloseTo(3);
  });
});
