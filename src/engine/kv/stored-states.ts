import type { CostModel } from "../estimates/cost-model.ts";
import { CONTEXT_STATE } from "../ports.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "./kv-cache.ts";
import { ReturnRate } from "./return-rate.ts";
import { MIN_STATE_TOKENS, type PrefillingSlot } from "./shared-prefixes.ts";
import type { Slot } from "../generation/slot.ts";

/** Tokens that loading must save at least. Fewer are processed about as fast as they are loaded. */
const MIN_GAIN_TOKENS = 32;
/** A state is saved once and loaded once. Both together must take less time than processing its tokens again. */
const MOVES = 2;

/** A stored state that shares a prefix with a prompt. */
export interface Stored {
  readonly key: string;
  /** Tokens of the state that the request may use. */
  readonly reusable: number;
  readonly source: "stored" | "shared";
}

/** Decides which states to store and to load, by measured costs and by the share of conversations that return. */
export class StoredStates {
  /** Share of conversations that return after losing their slot. */
  readonly returns = new ReturnRate();
  readonly #cache: KvCache | undefined;
  readonly #cost: CostModel;

  constructor(cache: KvCache | undefined, cost: CostModel) {
    this.#cache = cache;
    this.#cost = cost;
  }

  /** The stored state with the most tokens that a request may use. */
  storedFor(request: RequestState): Stored | undefined {
    const cache = this.#cache;
    if (!cache || cache.size === 0) return undefined;
    const { client, conversation, sharedKey, sharedTokens } = request.prepared;
    const maxReusable = request.length - 1;
    const tokens = request.tokens(0, maxReusable);
    const candidates = [
      { key: cache.key(client, conversation), limit: maxReusable, source: "stored" },
      { key: cache.key(client, CONTEXT_STATE), limit: maxReusable, source: "stored" },
      { key: cache.key(undefined, sharedKey), limit: Math.min(sharedTokens, maxReusable), source: "shared" },
    ] as const;
    let best: Stored | undefined;
    for (const { key, limit, source } of candidates) {
      const reusable = Math.min(cache.commonPrefix(key, tokens), limit);
      if (reusable > (best?.reusable ?? 0)) best = { key, reusable, source };
    }
    return best;
  }

  /**
   * Whether loading is clearly faster than processing the missing tokens. `own`: reusable tokens already in the slot.
   */
  worthLoading({ key, reusable }: Stored, own: number): boolean {
    const cache = this.#cache;
    const cost = this.#cost;
    const length = cache?.tokens(key)?.length ?? 0;
    const gain = reusable - own;
    return gain >= MIN_GAIN_TOKENS && gain * cost.promptTokenMs > 2 * length * (cache?.msPerToken ?? 0);
  }

  /** Records a request, for the return rate. */
  recordRequest({ prepared, background }: RequestState): void {
    const cache = this.#cache;
    if (cache && !background) this.returns.recordRequest(cache.key(prepared.client, prepared.conversation));
  }

  /** Records that a slot is reassigned to another conversation. */
  recordDisplacement(slot: Slot): void {
    const cache = this.#cache;
    const { owner } = slot;
    if (!cache || !owner || owner.conversation === CONTEXT_STATE) return;
    if (ownTokens(slot) < MIN_STATE_TOKENS) return;
    this.returns.recordDisplacement(cache.key(owner.client, owner.conversation));
  }

  /** Stores the KV of a slot for its owner. @returns false when nothing was stored. */
  async store({ owner, sequence }: Slot): Promise<boolean> {
    const cache = this.#cache;
    if (!cache || !owner) return false;
    return cache.save(cache.key(owner.client, owner.conversation), owner.accountKey, sequence);
  }

  /**
   * Whether a slot holds KV of its owner that is worth storing and is not stored yet.
   *
   * @param returns probability that the KV is needed again; 1 for a preempted answer
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

  /** Tokens of the stored shared prefix, if loading it into the slot is worthwhile. */
  loadable({ request, length }: PrefillingSlot): readonly number[] | undefined {
    const cache = this.#cache;
    const key = cache?.key(undefined, request.sharedKey) ?? "";
    const tokens = cache?.tokens(key);
    if (!tokens) return undefined;
    return this.worthLoading({ key, reusable: tokens.length, source: "shared" }, length) ? tokens : undefined;
  }
}

/** Tokens in the slot that are not shared by all clients. */
function ownTokens({ owner, sequence }: Slot): number {
  return sequence.length - (owner?.sharedTokens ?? 0);
}
