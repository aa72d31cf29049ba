import type { CostModel } from "../estimates/cost-model.ts";
import { CONTEXT_STATE } from "../ports.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "./kv-cache.ts";
import { ReturnRate } from "./return-rate.ts";
import { MIN_STATE_TOKENS, type PrefillingSlot } from "./shared-prefix.ts";
import type { Slot } from "../generation/slot.ts";

// Fewer tokens are processed as quickly as they are loaded.
const MIN_GAIN = 32;
// A state is saved once and loaded once, and must bring that much at least.
const MOVES = 2;

/** A stored state that a prompt begins with. */
export interface Stored {
  readonly key: string;
  readonly reusable: number;
  readonly source: "stored" | "shared";
}

/** Which stored states are of use, by measured costs and by how many conversations come back. */
export class StoredStates {
  /** How often a conversation that lost its slot comes back. */
  readonly returns = new ReturnRate();
  readonly #cache: KvCache | undefined;
  readonly #cost: CostModel;

  constructor(cache: KvCache | undefined, cost: CostModel) {
    this.#cache = cache;
    this.#cost = cost;
  }

  /** The stored state that has most of what a request may use. */
  storedFor(request: RequestState): Stored | undefined {
    const cache = this.#cache;
    if (!cache || cache.size === 0) return undefined;
    const { client, conversation, sharedKey, sharedTokens } = request.prepared;
    const most = request.length - 1;
    const tokens = request.tokens(0, most);
    const candidates = [
      { key: cache.key(client, conversation), limit: most, source: "stored" },
      { key: cache.key(client, CONTEXT_STATE), limit: most, source: "stored" },
      { key: cache.key(undefined, sharedKey), limit: Math.min(sharedTokens, most), source: "shared" },
    ] as const;
    let best: Stored | undefined;
    for (const { key, limit, source } of candidates) {
      const reusable = Math.min(cache.commonPrefix(key, tokens), limit);
      if (reusable > (best?.reusable ?? 0)) best = { key, reusable, source };
    }
    return best;
  }

  /** Whether loading is clearly quicker than processing what the slot lacks of it. */
  worthLoading({ key, reusable }: Stored, own: number): boolean {
    const cache = this.#cache;
    const cost = this.#cost;
    const length = cache?.tokens(key)?.length ?? 0;
    const gain = reusable - own;
    return gain >= MIN_GAIN && gain * cost.promptTokenMs > 2 * length * (cache?.msPerToken ?? 0);
  }

  /** A request has come. */
  asked({ prepared, background }: RequestState): void {
    const cache = this.#cache;
    if (cache && !background) this.returns.come(cache.key(prepared.client, prepared.conversation));
  }

  /** A slot is given to another conversation. */
  displaced(slot: Slot): void {
    const cache = this.#cache;
    const { owner } = slot;
    if (!cache || !owner || owner.conversation === CONTEXT_STATE) return;
    if (ownTokens(slot) < MIN_STATE_TOKENS) return;
    this.returns.leave(cache.key(owner.client, owner.conversation));
  }

  /** Stores what a slot has for its owner. @returns false when nothing was stored. */
  async store({ owner, sequence }: Slot): Promise<boolean> {
    const cache = this.#cache;
    if (!cache || !owner) return false;
    return cache.save(cache.key(owner.client, owner.conversation), owner.accountKey, sequence);
  }

  /**
   * Whether a slot has something of its owner that would be missed and is not stored yet. `returns`: how likely it is to be
   * needed again; an answer that only waits for a slot is for sure.
   */
  worthStoring(slot: Slot, returns = this.returns.value): boolean {
    const cache = this.#cache;
    const cost = this.#cost;
    const { owner, sequence } = slot;
    const own = ownTokens(slot);
    if (!cache || !owner || own < MIN_STATE_TOKENS) return false;
    if (own * cost.promptTokenMs * returns < MOVES * sequence.length * cache.msPerToken) return false;
    return !cache.holds(cache.key(owner.client, owner.conversation), sequence);
  }

  /** The stored beginning that a slot lacks, if it is worth loading. */
  loadable({ request, length }: PrefillingSlot): readonly number[] | undefined {
    const cache = this.#cache;
    const key = cache?.key(undefined, request.sharedKey) ?? "";
    const tokens = cache?.tokens(key);
    if (!tokens) return undefined;
    return this.worthLoading({ key, reusable: tokens.length, source: "shared" }, length) ? tokens : undefined;
  }
}

/** Tokens that are its owner's alone. */
function ownTokens({ owner, sequence }: Slot): number {
  return sequence.length - (owner?.sharedTokens ?? 0);
}
