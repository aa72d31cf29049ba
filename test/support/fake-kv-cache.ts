import type { Clock } from "../../src/core/clock.ts";
import { KvCache } from "../../src/engine/kv/kv-cache.ts";
import { LongWork } from "../../src/engine/server/long-work.ts";

/** A KV cache over the files of a `FakeContext`. `bytesPerToken` sets the cost of moves that it assumes at first. */
export function fakeKvCache(clock: Clock, budgetBytes = 1e9, bytesPerToken = 100): KvCache {
  return new KvCache({
    folder: { path: "/nowhere", freeBytes: () => 1e12, remove: () => {} },
    budgetBytes,
    bytesPerToken,
    model: "m",
    clock,
    longWork: new LongWork(() => {}),
    onFault: () => {},
  });
}
