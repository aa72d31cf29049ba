import type { Clock } from "../../core/clock.ts";
import { tokensToKeep, type TickLimits } from "../scheduling/chunk-plan.ts";
import type { CostModel } from "../estimates/cost-model.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import type { RequestState } from "../generation/request-state.ts";
import { IdleStores } from "../kv/idle-stores.ts";
import type { KvCache } from "../kv/kv-cache.ts";
import { chooseSlot, chooseVictim, type Holding } from "../scheduling/slot-choice.ts";
import {
  MIN_STATE_TOKENS,
  SharedPrefixes,
  type PrefillingSlot,
  type PromptLimit,
} from "../kv/shared-prefix.ts";
import type { Slot } from "../generation/slot.ts";
import { StoredStates, type Stored } from "../kv/stored-states.ts";

export interface AdmissionOptions {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<RequestState>;
  readonly cost: CostModel;
  readonly limits: TickLimits;
  readonly clock: Clock;
  /** Absent: no states are stored. */
  readonly cache: KvCache | undefined;
  /** Its client or conversation is gone: nothing of it may be stored. */
  readonly forgotten: (request: RequestState) => boolean;
  /** A request has got its first slot. */
  readonly started: (request: RequestState) => void;
  /** The request cannot have this slot. */
  readonly failed: (slot: Slot, request: RequestState, error: unknown) => Promise<void>;
}

// Share of the aim between two tokens that loading and saving states may take before a step.
const MOVE_SHARE = 0.1;
// While more than these wait for a slot and others' conversations must be stored first, share of the longest step: at one
// store a step, a crowd of new users would come in one by one.
const FEW_WAITING = 2;
const CROWD_SHARE = 0.15;

/** Holds what belongs to nobody. */
const SHARED_OWNER = "";

/** Where cached prompt tokens came from, in tokens since the start. */
export interface Reuse {
  slot: number;
  stored: number;
  shared: number;
}

/** Moves requests and the states of their sequences into slots and out of them, between steps. */
export class Admission {
  readonly reuse: Reuse = { slot: 0, stored: 0, shared: 0 };
  /** Answers that had to give their slot away. */
  preemptions = 0;
  /** For times when nothing runs and nobody waits. */
  readonly idle: IdleStores;
  readonly #options: AdmissionOptions;
  readonly #shared = new SharedPrefixes();
  readonly #stored: StoredStates;
  #movedMs = 0;
  #moves = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#stored = new StoredStates(options.cache, options.cost);
    this.idle = new IdleStores({ ...options, stored: this.#stored });
  }

  /** How often a conversation that lost its slot comes back: over 0, at most 1. */
  get returnRate(): number {
    return this.#stored.returns.value;
  }

  /** A request has come to the queue's door: says what of its prompt is left to process, as far as can be told. */
  note(request: RequestState): void {
    if (this.#options.cache) this.#shared.note(request.prepared);
    this.#stored.asked(request);
    let reusable = this.#stored.storedFor(request)?.reusable ?? 0;
    for (const slot of this.#options.slots) {
      if (slot.keeps(request)) reusable = Math.max(reusable, slot.reusable(request));
    }
    request.promptTokens = request.length - reusable;
  }

  /** Before each step. */
  async run(): Promise<void> {
    this.#movedMs = 0;
    this.#moves = 0;
    await this.#preempt();
    await this.#admit();
    await this.#useShared();
  }

  /** Prompt tokens that each slot may process now, those of the oldest first. */
  prefilling(): PromptLimit[] {
    return this.#shared.limits(this.#prefillingSlots(), (slot) => this.#stored.loadable(slot)?.length);
  }

  /** A background job has processed its prompt. */
  async keepContext(slot: Slot): Promise<void> {
    if (slot.sequence.length >= MIN_STATE_TOKENS) await this.#store(slot);
  }

  /** Loads and saves hold up everybody's next token: past some time none is begun any more before a step. */
  #mayMove(crowd = false): boolean {
    const { limits } = this.#options;
    const mostMs = crowd ? limits.maxTickMs * CROWD_SHARE : limits.itlTargetMs * MOVE_SHARE;
    return this.#moves === 0 || this.#movedMs < mostMs || !this.#anyoneRuns();
  }

  #anyoneRuns(): boolean {
    return this.#options.slots.some(({ request }) => request);
  }

  async #preempt(): Promise<void> {
    const { queue, slots, clock } = this.#options;
    const waiter = queue.peek(slots.length);
    if (!waiter || slots.some((slot) => !slot.request)) return;
    const id = chooseVictim(this.#holdings(), waiter.accountKey, (accountKey) => this.#claimOf(accountKey));
    const slot = slots.find((candidate) => candidate.id === id);
    const request = slot?.request;
    if (!slot || !request) return;
    if (!this.#options.forgotten(request) && this.#stored.worthStoring(slot, 1)) await this.#store(slot);
    await slot.release(clock.now());
    this.preemptions++;
    request.promptTokens = Math.max(1, request.length - slot.sequence.length);
    queue.requeue(request);
    // Its place is news again.
    request.reportedPosition = 0;
    if (request.cancelled) queue.remove(request);
  }

  #claimOf(accountKey: string) {
    const { queue, slots } = this.#options;
    const standing = queue.standing(accountKey) ?? { counter: 0, waiting: 0, held: 0 };
    return { ...standing, cap: queue.cap(accountKey, slots.length) };
  }

  #holdings(): Holding[] {
    const { slots, cache, cost } = this.#options;
    const holdings: Holding[] = [];
    for (const { request, sequence, id } of slots) {
      if (!request) continue;
      const moveMs = cache ? 2 * sequence.length * cache.msPerToken : Number.POSITIVE_INFINITY;
      holdings.push({
        id,
        accountKey: request.accountKey,
        arrivedAt: request.arrivedAt,
        left: request.prepared.maxTokens - request.generatedTokens,
        moveCost: Math.min(moveMs / cost.promptTokenMs, sequence.length),
        background: request.background,
      });
    }
    return holdings;
  }

  async #admit(): Promise<void> {
    const { queue, slots } = this.#options;
    for (;;) {
      const free = slots.filter((slot) => !slot.request);
      if (free.length === 0) return;
      const background = queue.size === 0;
      const request = background ? queue.peek(slots.length, true) : queue.peek(slots.length);
      if (!request) return;
      const stored = this.#stored.storedFor(request);
      const slot = this.#slotFor(request, free, stored);
      const load = stored && this.#stored.worthLoading(stored, slot.reusable(request)) ? stored : undefined;
      const others = !slot.keeps(request);
      const storing = others && this.#stored.worthStoring(slot);
      if ((load || storing) && !this.#mayMove(storing && queue.size > FEW_WAITING)) return;
      queue.take(slots.length, background);
      if (storing) await this.#store(slot);
      if (others) this.#stored.displaced(slot);
      await this.#assign(slot, request, load);
    }
  }

  async #assign(slot: Slot, request: RequestState, load: Stored | undefined): Promise<void> {
    try {
      const loaded = load && (await this.#load(slot, load.key, request)) ? load.source : "slot";
      await slot.assign(request, this.#options.clock.now(), this.#keepFor(request));
      const cached = slot.sequence.length;
      request.paidTokens = Math.max(request.paidTokens, cached);
      if (request.started || request.background) return;
      request.started = true;
      this.#options.started(request);
      request.cachedTokens = cached;
      this.reuse[loaded] += cached;
      const { tokens, droppedTurns } = request.prepared;
      request.events.started(tokens.length, cached, droppedTurns);
    } catch (error) {
      await this.#options.failed(slot, request, error);
    }
  }

  #keepFor({ length, background }: RequestState): (reusable: number) => number {
    const { slots, cost, limits } = this.#options;
    if (background) return (reusable) => reusable;
    const generating = slots.filter((slot) => slot.request && slot.remaining === 0).length;
    return (kept) => tokensToKeep({ length, kept, generating }, cost, limits);
  }

  #slotFor(request: RequestState, free: readonly Slot[], stored: Stored | undefined): Slot {
    const choices = free.map((slot) => {
      const own = slot.reusable(request);
      return {
        id: slot.id,
        reusable: stored && this.#stored.worthLoading(stored, own) ? stored.reusable : own,
        same: slot.keeps(request),
        kept: slot.sequence.length,
        lastUsed: slot.lastUsed,
      };
    });
    const active = this.#options.slots.filter((slot) => slot.request).map((slot) => slot.id);
    const id = chooseSlot(choices, active, request.length, this.returnRate);
    return free.find((slot) => slot.id === id) ?? (free[0] as Slot);
  }

  async #store(slot: Slot): Promise<void> {
    await this.#move(() => this.#stored.store(slot));
  }

  async #load(slot: Slot, key: string, request: RequestState): Promise<boolean> {
    const { cache } = this.#options;
    slot.owner = request.prepared;
    return (await this.#move(async () => cache?.load(key, slot.sequence))) === true;
  }

  async #move<T>(work: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const from = clock.now();
    const result = await work();
    this.#moves++;
    this.#movedMs += clock.now() - from;
    return result;
  }

  /** Stores the beginning that all share where it is just complete, and loads it where it is still missing. */
  async #useShared(): Promise<void> {
    const { cache, slots } = this.#options;
    for (const prefilling of cache ? this.#prefillingSlots() : []) {
      const { length, id } = prefilling;
      const { sharedKey, sharedTokens } = prefilling.request;
      const slot = slots.find((candidate) => candidate.id === id);
      const request = slot?.request;
      if (!cache || !slot || !request || slot.refills || !this.#shared.wanted(prefilling.request)) continue;
      const key = cache.key(undefined, sharedKey);
      const loadable = this.#stored.loadable(prefilling);
      if (loadable && this.#mayMove()) {
        if (!(await this.#load(slot, key, request))) this.#shared.refuse(sharedKey);
        const keep = this.#keepFor(request);
        await slot.keep(slot.sequence.length, (reusable) => Math.max(keep(reusable), length));
        // What an answer had before it was preempted is not cached anew.
        const gain = slot.sequence.length - Math.max(length, request.paidTokens);
        request.paidTokens = Math.max(request.paidTokens, slot.sequence.length);
        if (request.background || gain <= 0) continue;
        request.cachedTokens += gain;
        this.reuse.shared += gain;
      } else if (length === sharedTokens && !cache.tokens(key)) {
        const saved = await this.#move(() => cache.save(key, SHARED_OWNER, slot.sequence));
        if (!saved) this.#shared.refuse(sharedKey);
      }
    }
  }

  #prefillingSlots(): PrefillingSlot[] {
    const busy = this.#options.slots.filter(({ request, remaining }) => {
      return request && !request.cancelled && remaining > 0;
    });
    // Background jobs last.
    const last = (slot: Slot): number => (slot.request?.background ? 1 : 0);
    busy.sort((a, b) => last(a) - last(b) || a.startedAt - b.startedAt || a.id - b.id);
    return busy.map(({ id, remaining, promptWork, sequence, request, refills }) => ({
      id,
      remaining,
      work: promptWork,
      background: request?.background === true,
      refills,
      length: sequence.length,
      request: (request as RequestState).prepared,
    }));
  }
}
