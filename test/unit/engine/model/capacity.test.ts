import { describe, expect, it } from "vitest";
import { usableCores } from "../../../../src/core/usable-cores.ts";
import {
  autoContextTokens,
  autoSlots,
  autoThreads,
  freeMemory,
  kvBytesPerToken,
} from "../../../../src/engine/model/capacity.ts";

describe("capacity", () => {
  it("leaves one core to the gateway when there are more than two", () => {
    expect([1, 2, 3, 8].map((cores) => autoThreads(cores, 0))).toEqual([1, 2, 2, 7]);
  });

  it("uses physical cores when their number is known", () => {
    expect(autoThreads(16, 8)).toBe(7);
    expect(autoThreads(2, 1)).toBe(1);
    expect(autoThreads(4, 64)).toBe(3);
  });

  it("limits the model's window to 2048 tokens", () => {
    expect([512, 2048, 131_072, 0].map(autoContextTokens)).toEqual([512, 2048, 2048, 2048]);
  });

  it("computes as many slots as fit half of the free memory", () => {
    const gib = 2 ** 30;
    expect(autoSlots(false, 64 * gib, gib / 4)).toBe(8);
    expect(autoSlots(true, 64 * gib, gib / 4)).toBe(32);
    expect(autoSlots(false, 2 * gib, gib / 4)).toBe(4);
    expect(autoSlots(false, 0, gib)).toBe(1);
  });

  it("computes 22,528 bytes of KV per token for TinyLlama", () => {
    expect(kvBytesPerToken({ layers: 22, width: 2048, heads: 32, keyValueHeads: 4 })).toBe(22_528);
  });

  it("computes the KV of a model with different layers and explicit head lengths", () => {
    const shape = { layers: 3, width: 64, heads: 4, keyValueHeads: [4, 2, 2], keyLength: 8, valueLength: 24 };
    expect(kvBytesPerToken(shape)).toBe(8 * 32 * 2);
  });

  it("reads cores and free memory of this machine", () => {
    expect(usableCores()).toBeGreaterThanOrEqual(1);
    expect(freeMemory()).toBeGreaterThan(0);
  });
});
