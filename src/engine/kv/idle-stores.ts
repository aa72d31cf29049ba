import type { TickLimits } from "../scheduling/chunk-plan.ts";
import type { KvCache } from "./kv-cache.ts";
import type { Slot } from "../generation/slot.ts";
import type { StoredStates } from "./stored-states.ts";

export interface IdleStoresOptions {
  readonly slots: readonly Slot[];
  readonly cache: KvCache | undefined;
  readonly stored: StoredStates;
  readonly limits: TickLimits;
}

/**
 * A request that arrives during a store waits for it to finish. Upper bound of that wait, as a share of the target time
 * between two tokens.
 */
const MAX_SHARE = 0.5;

/**
 * Stores the KV of free slots while the engine is idle. Otherwise the next request that needs such a slot would wait
 * for the store. It stores only while every slot holds some conversation's KV, and it never evicts a stored state.
 */
export class IdleStores {
  readonly #options: IdleStoresOptions;
  /**
   * `lastUsed` of each slot at its last store. The same use is not stored again, even if its state was dropped since.
   */
  readonly #storedAt = new Map<number, number>();

  constructor(options: IdleStoresOptions) {
    this.#options = options;
  }

  /** Whether a slot should be stored now. */
  get due(): boolean {
    return this.#next() !== undefined;
  }

  /** Stores one slot. @returns false when no slot should be stored or the store failed. */
  async storeOne(): Promise<boolean> {
    const slot = this.#next();
    if (!slot) return false;
    this.#storedAt.set(slot.id, slot.lastUsed);
    return this.#options.stored.store(slot);
  }

  /** The least recently used slot worth storing: the scheduler reassigns it first. */
  #next(): Slot | undefined {
    const { slots, cache, stored } = this.#options;
    if (!cache || slots.some(({ sequence, owner }) => !owner || sequence.length === 0)) return undefined;
    return slots
      .toSorted((a, b) => a.lastUsed - b.lastUsed)
      .find((slot) => this.#mayStore(slot, cache) && stored.worthStoring(slot));
  }

  #mayStore(slot: Slot, cache: KvCache): boolean {
    const { slots, limits } = this.#options;
    if (slot.request || this.#storedAt.get(slot.id) === slot.lastUsed) return false;
    // Two slots can hold KV of one conversation; only the more recently used one is worth keeping.
    if (slots.some((other) => other.lastUsed > slot.lastUsed && isSameOwner(other, slot))) return false;
    const { length } = slot.sequence;
    return length * cache.msPerToken <= limits.itlTargetMs * MAX_SHARE && cache.hasSpace(length);
  }
}

function isSameOwner({ owner: a }: Slot, { owner: b }: Slot): boolean {
  return a?.client === b?.client && a?.conversation === b?.conversation;
}
