import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { EngineSequence } from "../../../../src/engine/ports.ts";
import { singleStreamThreads } from "../../../../src/engine/model/single-stream-threads.ts";

/** A sequence whose step takes `ms` of the number of threads in use. */
function timedSequence(ms: (threads: number) => number) {
  let threads = 0;
  const used: number[] = [];
  const sequence = {
    prefill: () => new Promise<void>((resolve) => setTimeout(resolve, ms(threads))),
  } as unknown as EngineSequence;
  const use = (count: number): void => {
    threads = count;
    used.push(count);
  };
  return { sequence, use, used };
}

// Only the steps take time on this clock, so the measured times do not depend on the machine.
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

async function measured(result: Promise<number>): Promise<number> {
  await vi.runAllTimersAsync();
  return result;
}

describe("singleStreamThreads", () => {
  it("returns one thread when all threads are not clearly faster", async () => {
    const { sequence, use, used } = timedSequence((threads) => (threads === 1 ? 12 : 10));
    expect(await measured(singleStreamThreads(sequence, 1, 2, use))).toBe(1);
    // All threads are in use again after the measurement, for prompts.
    expect(used.at(-1)).toBe(2);
  });

  it("returns all threads when one thread takes much longer", async () => {
    const { sequence, use } = timedSequence((threads) => 40 / threads);
    expect(await measured(singleStreamThreads(sequence, 1, 4, use))).toBe(4);
  });

  it("measures nothing when there is only one thread", async () => {
    const { sequence, use, used } = timedSequence(() => 1);
    expect(await measured(singleStreamThreads(sequence, 1, 1, use))).toBe(1);
    expect(used).toEqual([]);
  });
});
