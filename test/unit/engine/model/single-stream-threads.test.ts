import { describe, expect, it } from "vitest";
import type { EngineSequence } from "../../../../src/engine/ports.ts";
import { singleStreamThreads } from "../../../../src/engine/model/single-stream-threads.ts";

/** A sequence whose step takes as long as the threads in use make it. */
function sequenceThatTakes(ms: (threads: number) => number) {
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

describe("the threads of a lone stream", () => {
  it("are one where all of them are not clearly faster", async () => {
    const { sequence, use, used } = sequenceThatTakes((threads) => (threads === 1 ? 12 : 10));
    expect(await singleStreamThreads(sequence, 1, 2, use)).toBe(1);
    // Afterwards all are in use again, for prompts.
    expect(used.at(-1)).toBe(2);
  });

  it("are all where one alone takes much longer", async () => {
    const { sequence, use } = sequenceThatTakes((threads) => 40 / threads);
    expect(await singleStreamThreads(sequence, 1, 4, use)).toBe(4);
  });

  it("are not measured where there is only one", async () => {
    const { sequence, use, used } = sequenceThatTakes(() => 1);
    expect(await singleStreamThreads(sequence, 1, 1, use)).toBe(1);
    expect(used).toEqual([]);
  });
});
