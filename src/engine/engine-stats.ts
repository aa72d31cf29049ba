import type { Admission } from "./admission.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Forgetting } from "./forgetting.ts";
import type { Generation } from "./generation.ts";
import type { KvCache } from "./kv-cache.ts";
import type { PromptLookup } from "./prompt-lookup.ts";
import type { ServiceRates } from "./service-rates.ts";
import type { Slot } from "./slot.ts";
import type { EngineStats } from "../engine-wire/engine-status.ts";

/** The parts of the loop that have something to tell. */
export interface StatsSources {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<Generation>;
  readonly cache?: KvCache;
  readonly lookup?: PromptLookup;
  readonly rates: ServiceRates;
  readonly admission: Admission;
  readonly forgetting: Forgetting;
}

/** How the engine does at this moment. */
export function engineStats(sources: StatsSources): EngineStats {
  const { slots, queue, cache, lookup, rates, admission, forgetting } = sources;
  let running = 0;
  let keptTokens = 0;
  for (const slot of slots) {
    if (slot.generation) running++;
    keptTokens += slot.sequence.length;
  }
  const { reuse, parkings, returnRate } = admission;
  return {
    waiting: queue.size,
    waitingTokens: queue.promptTokens,
    running,
    keptTokens,
    tickMs: rounded(rates.tickMs),
    batch: rounded(rates.batch),
    promptShare: rounded(rates.promptShare),
    cachedSlot: reuse.slot,
    cachedParked: reuse.parked,
    cachedShared: reuse.shared,
    parkedBytes: cache?.bytes ?? 0,
    parkedStates: cache?.size ?? 0,
    parkings,
    returnRate: rounded(returnRate),
    forgotten: forgetting.count,
    guessedTokens: lookup?.guessed ?? 0,
    acceptedTokens: lookup?.accepted ?? 0,
  };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
