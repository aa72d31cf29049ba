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
} from "../kv/shared-prefixes.ts";
import type { Slot } from "../generation/slot.ts";
import { StoredStates, type Stored } from "../kv/stored-states.ts";

export interface AdmissionOptions {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<RequestState>;
  readonly cost: CostModel;
  readonly limits: TickLimits;
  readonly clock: Clock;
  /** Undefined: no states are stored. */
  readonly cache: KvCache | undefined;
  /** Whether the request's client or conversation was deleted, so that nothing of it may be stored. */
  readonly forgotten: (request: RequestState) => boolean;
  /** Called when a request gets its first slot. */
  readonly started: (request: RequestState) => void;
}

/** A request that could not be given its slot. */
export interface AdmissionFailure {
  readonly slot: Slot;
  readonly request: RequestState;
  readonly error: unknown;
}

/** Share of `itlTargetMs` that loads and saves may take before one step. */
const MOVE_SHARE = 0.1;
/** With more requests waiting than this, storing a slot for the next one may take {@link CROWD_SHARE}. */
const FEW_WAITING = 2;
/** Share of `maxTickMs` that moves may take then: with one store per step, a crowd would be admitted one by one. */
const CROWD_SHARE = 0.15;

/** Owner of the states that all clients share. */
const SHARED_OWNER = "";

/** Origin of cached prompt tokens, in tokens since the engine started. */
export interface Reuse {
  slot: number;
  stored: number;
  shared: number;
}

/** Moves requests and the KV states of their sequences into and out of slots, between steps. */
export class Admission {
  readonly reuse: Reuse = { slot: 0, stored: 0, shared: 0 };
  /** Number of requests that were preempted. */
  preemptions = 0;
  /** Stores the KV of free slots while nothing runs and no request waits. */
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

  /** Share of the conversations that lost their slot and are continued later; greater than 0, at most 1. */
  get returnRate(): number {
    return this.#stored.returns.value;
  }

  /** Registers a request before it is queued, and estimates how many of its prompt tokens are left to process. */
  note(request: RequestState): void {
    if (this.#options.cache) this.#shared.note(request.prepared);
    this.#stored.recordRequest(request);
    let reusable = this.#stored.storedFor(request)?.reusable ?? 0;
    for (const slot of this.#options.slots) {
      if (slot.keeps(request)) reusable = Math.max(reusable, slot.reusable(request));
    }
    request.promptTokens = request.length - reusable;
  }

  /**
   * Preempts, admits and loads shared states before a step.
   *
   * @returns the first request that could not be given its slot. The caller fails it, which frees the slot, and then
   *   calls {@link resume}. Undefined: done.
   */
  run(): Promise<AdmissionFailure | undefined> {
    this.#movedMs = 0;
    this.#moves = 0;
    return this.resume();
  }

  /** Continues {@link run} once the failed slot is free, within the same budget for moves. Returns like `run`. */
  async resume(): Promise<AdmissionFailure | undefined> {
    await this.#preempt();
    const failure = await this.#admit();
    if (!failure) await this.#useShared();
    return failure;
  }

  /** Prompt tokens that each slot may process now, oldest request first and background jobs last. */
  prefilling(): PromptLimit[] {
    return this.#shared.limits(this.#prefillingSlots(), (slot) => this.#stored.loadable(slot)?.length);
  }

  /** Stores the KV of a background job that has processed its prompt. */
  async keepContext(slot: Slot): Promise<void> {
    if (slot.sequence.length >= MIN_STATE_TOKENS) await this.#store(slot);
  }

  /**
   * Whether another load or save may start before this step: each one delays the next token of every running answer.
   */
  #mayMove(crowd = false): boolean {
    const { limits, slots } = this.#options;
    const budgetMs = crowd ? limits.maxTickMs * CROWD_SHARE : limits.itlTargetMs * MOVE_SHARE;
    return this.#moves === 0 || this.#movedMs < budgetMs || !slots.some(({ request }) => request);
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
    // Its next position is reported like that of a new request.
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

  async #admit(): Promise<AdmissionFailure | undefined> {
    const { queue, slots } = this.#options;
    for (;;) {
      const free = slots.filter((slot) => !slot.request);
      if (free.length === 0) return undefined;
      const background = queue.size === 0;
      const request = background ? queue.peek(slots.length, true) : queue.peek(slots.length);
      if (!request) return undefined;
      const stored = this.#stored.storedFor(request);
      const slot = this.#slotFor(request, free, stored);
      const load = stored && this.#stored.worthLoading(stored, slot.reusable(request)) ? stored : undefined;
      const displaces = !slot.keeps(request);
      const storing = displaces && this.#stored.worthStoring(slot);
      if ((load || storing) && !this.#mayMove(storing && queue.size > FEW_WAITING)) return undefined;
      queue.take(slots.length, background);
      if (storing) await this.#store(slot);
      if (displaces) this.#stored.recordDisplacement(slot);
      const failure = await this.#assign(slot, request, load);
      if (failure) return failure;
    }
  }

  async #assign(slot: Slot, request: RequestState, load?: Stored): Promise<AdmissionFailure | undefined> {
    try {
      const loaded = load && (await this.#load(slot, load.key, request)) ? load.source : "slot";
      await slot.assign(request, this.#options.clock.now(), this.#keepFor(request));
      const cached = slot.sequence.length;
      request.paidTokens = Math.max(request.paidTokens, cached);
      if (request.started || request.background) return undefined;
      request.started = true;
      this.#options.started(request);
      request.cachedTokens = cached;
      this.reuse[loaded] += cached;
      const { tokens, droppedTurns } = request.prepared;
      request.events.started(tokens.length, cached, droppedTurns);
      return undefined;
    } catch (error) {
      return { slot, request, error };
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

  /** Stores a shared prefix where a slot has just completed it, and loads it into slots that still lack it. */
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
        // Tokens that the answer had before it was preempted do not count as cached again.
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
    const rank = (slot: Slot): number => (slot.request?.background ? 1 : 0);
    busy.sort((a, b) => rank(a) - rank(b) || a.startedAt - b.startedAt || a.id - b.id);
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
