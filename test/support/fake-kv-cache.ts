import type { Clock } from "../../src/core/clock.ts";
import { KvCache } from "../../src/engine/kv-cache.ts";
import { LongWork } from "../../src/engine/long-work.ts";

/** Stored states whose files are those of a {@link FakeContext}; 100 bytes a token. */
export function fakeKvCache(clock: Clock, budgetBytes = 1e9): KvCache {
  return new KvCache({
    folder: { path: "/nowhere", freeBytes: () => 1e12, remove: () => {} },
    budgetBytes,
    bytesPerToken: 100,
    model: "m",
    clock,
    longWork: new LongWork(() => {}),
    onFault: () => {},
  });
}
