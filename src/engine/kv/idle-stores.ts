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

// Who comes while a state is being stored waits for it: at most this share of the aim between two tokens.
const MAX_SHARE = 0.5;

/**
 * Stores what free slots keep while the engine has nothing else to do: else whoever needs the slot later would wait for
 * it. Only where slots are scarce, and never at the cost of a state that is stored already.
 */
export class IdleStores {
  readonly #options: IdleStoresOptions;
  /** When each slot was last used as it was stored: no use is stored twice, whatever becomes of its state. */
  readonly #storedAt = new Map<number, number>();

  constructor(options: IdleStoresOptions) {
    this.#options = options;
  }

  /** Whether there is something to store. */
  get due(): boolean {
    return this.#next() !== undefined;
  }

  /** Stores one. @returns false when there was nothing, or it could not be stored. */
  async storeOne(): Promise<boolean> {
    const slot = this.#next();
    if (!slot) return false;
    this.#storedAt.set(slot.id, slot.lastUsed);
    return this.#options.stored.store(slot);
  }

  /** The one that is given away first. */
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
    // Two slots can have something of one conversation; only the later of them is of use.
    if (slots.some((other) => other.lastUsed > slot.lastUsed && isSameOwner(other, slot))) return false;
    const { length } = slot.sequence;
    return length * cache.msPerToken <= limits.itlTargetMs * MAX_SHARE && cache.hasRoom(length);
  }
}

function isSameOwner({ owner: a }: Slot, { owner: b }: Slot): boolean {
  return a?.client === b?.client && a?.conversation === b?.conversation;
}
