import type { Clock } from "../../core/clock.ts";
import { LruCache } from "../../core/lru-cache.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "./kv-cache.ts";
import type { Slot } from "../generation/slot.ts";
import type { ForgetRequest } from "../../engine-wire/requests.ts";

export interface KvPurgeOptions {
  readonly slots: readonly Slot[];
  /** Absent: no states are stored. */
  readonly cache?: KvCache;
  readonly clock: Clock;
}

// Between two steps. Who comes beyond it goes when room is needed, as without any word.
const MAX_DUE = 16_384;

/** Lets go of what is kept for a client, or for one conversation, that is gone: stored states and the KV of slots. */
export class KvPurge {
  /** Slots and states that were emptied. */
  count = 0;
  readonly #options: KvPurgeOptions;
  readonly #requests = new Map<string, ForgetRequest>();
  /** When it was asked for, by name: what was begun before must not be kept when it ends. */
  readonly #times = new LruCache<string, number>(MAX_DUE);

  constructor(options: KvPurgeOptions) {
    this.#options = options;
  }

  /** Whether there is something to do. */
  get due(): boolean {
    return this.#requests.size > 0;
  }

  add(request: ForgetRequest): void {
    if (this.#requests.size >= MAX_DUE) return;
    const name = nameOf(request);
    this.#requests.set(name, request);
    this.#times.set(name, this.#options.clock.now());
  }

  /** Does what is due. Only between steps. */
  async run(): Promise<void> {
    if (!this.due) return;
    const { slots, cache } = this.#options;
    const requests = new Map(this.#requests);
    this.#requests.clear();
    for (const slot of slots) {
      const { owner, request } = slot;
      if (owner && !request && namesOf(owner).some((name) => requests.has(name))) await this.#empty(slot);
    }
    if (!cache || cache.size === 0) return;
    const keys = [...requests.values()].map(({ client, conversation }) => {
      return conversation === undefined ? cache.clientKey(client) : cache.key(client, conversation);
    });
    this.count += cache.forgetAll(new Set(keys));
  }

  /** Whether its client or conversation was forgotten since it came. */
  concerns({ prepared, arrivedAt }: RequestState): boolean {
    return namesOf(prepared).some((name) => arrivedAt <= (this.#times.get(name) ?? -Infinity));
  }

  /** A request has left its slot. Only between steps. */
  async left(slot: Slot, request: RequestState): Promise<void> {
    if (!this.concerns(request)) return;
    await this.#empty(slot);
    const { cache } = this.#options;
    const { prepared } = request;
    if (cache) this.count += cache.forgetAll(new Set([cache.key(prepared.client, prepared.conversation)]));
  }

  /** What all clients share stays. */
  async #empty(slot: Slot): Promise<void> {
    const shared = slot.owner?.sharedTokens ?? 0;
    slot.owner = undefined;
    await slot.sequence.truncate(shared);
    this.count++;
  }
}

function nameOf({ client, conversation }: ForgetRequest): string {
  return JSON.stringify(conversation === undefined ? [client] : [client, conversation]);
}

/** The requests that concern it: one for its client, one for its conversation. */
function namesOf({ client, conversation }: Required<ForgetRequest>): string[] {
  return [nameOf({ client }), nameOf({ client, conversation })];
}
