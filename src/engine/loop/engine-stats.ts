import type { Admission } from "./admission.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import type { KvPurge } from "../kv/kv-purge.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "../kv/kv-cache.ts";
import type { PromptLookup } from "../speculation/prompt-lookup.ts";
import type { ServiceRates } from "../estimates/service-rates.ts";
import type { Slot } from "../generation/slot.ts";
import type { EngineStats } from "../../engine-wire/engine-status.ts";

/** Parts of the loop that the statistics are read from. */
export interface StatsSources {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<RequestState>;
  readonly cache?: KvCache;
  readonly lookup?: PromptLookup;
  readonly rates: ServiceRates;
  readonly admission: Admission;
  readonly purge: KvPurge;
}

/** The statistics of the loop; the others are those of the intake. */
export type LoopStats = Omit<EngineStats, "displaced">;

/** Returns the engine's current load and its counters. */
export function engineStats(sources: StatsSources): LoopStats {
  const { slots, queue, cache, lookup, rates, admission, purge } = sources;
  let running = 0;
  let keptTokens = 0;
  for (const slot of slots) {
    if (slot.request) running++;
    keptTokens += slot.sequence.length;
  }
  const { reuse, preemptions, returnRate } = admission;
  return {
    waiting: queue.size,
    waitingTokens: queue.promptTokens,
    running,
    keptTokens,
    tickMs: rounded(rates.tickMs),
    batch: rounded(rates.batch),
    promptShare: rounded(rates.promptShare),
    cachedSlot: reuse.slot,
    cachedStored: reuse.stored,
    cachedShared: reuse.shared,
    storedBytes: cache?.bytes ?? 0,
    storedStates: cache?.size ?? 0,
    preemptions,
    returnRate: rounded(returnRate),
    forgotten: purge.count,
    guessedTokens: lookup?.guessed ?? 0,
    acceptedTokens: lookup?.accepted ?? 0,
  };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
