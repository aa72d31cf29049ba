import type { Clock } from "../../core/clock.ts";
import { LruCache } from "../../core/lru-cache.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "./kv-cache.ts";
import type { Slot } from "../generation/slot.ts";
import type { ForgetRequest } from "../../engine-wire/requests.ts";

export interface KvPurgeOptions {
  readonly slots: readonly Slot[];
  /** Absent when states are not stored. */
  readonly cache?: KvCache;
  readonly clock: Clock;
}

/** Purge requests accepted between two steps. The KV of any further client stays until its space is needed. */
const MAX_DUE = 16_384;

/** Removes the stored states and the KV in slots of a deleted client or conversation. */
export class KvPurge {
  /** Number of slots and stored states emptied so far. */
  count = 0;
  readonly #options: KvPurgeOptions;
  readonly #requests = new Map<string, ForgetRequest>();
  /** Time of each purge request, by name. KV of a request that arrived earlier is purged when that request ends. */
  readonly #times = new LruCache<string, number>(MAX_DUE);

  constructor(options: KvPurgeOptions) {
    this.#options = options;
  }

  /** Whether purge requests are pending. */
  get due(): boolean {
    return this.#requests.size > 0;
  }

  /** Adds a request for the next {@link run}. Ignored when too many are pending. */
  add(request: ForgetRequest): void {
    if (this.#requests.size >= MAX_DUE) return;
    const name = nameOf(request);
    this.#requests.set(name, request);
    this.#times.set(name, this.#options.clock.now());
  }

  /** Carries out the pending requests. Call it only between steps. */
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
    this.count += cache.dropAll(new Set(keys));
  }

  /** Whether the request's client or conversation was purged after the request arrived. */
  concerns({ prepared, arrivedAt }: RequestState): boolean {
    return namesOf(prepared).some((name) => arrivedAt <= (this.#times.get(name) ?? -Infinity));
  }

  /** Empties the slot that a request has left, if the request was purged. Call it only between steps. */
  async released(slot: Slot, request: RequestState): Promise<void> {
    if (!this.concerns(request)) return;
    await this.#empty(slot);
    const { cache } = this.#options;
    const { prepared } = request;
    if (cache) this.count += cache.dropAll(new Set([cache.key(prepared.client, prepared.conversation)]));
  }

  /** Keeps the tokens that all clients share. */
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

/** Names of the purge requests that apply: one for the client, one for the conversation. */
function namesOf({ client, conversation }: Required<ForgetRequest>): string[] {
  return [nameOf({ client }), nameOf({ client, conversation })];
}
