import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import { Admission } from "./admission.ts";
import { planChunks, type TickLimits } from "../scheduling/chunk-plan.ts";
import type { CostModel } from "../estimates/cost-model.ts";
import { engineStats, type LoopStats } from "./engine-stats.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import { KvPurge } from "../kv/kv-purge.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { KvCache } from "../kv/kv-cache.ts";
import { DecodePauses } from "../scheduling/decode-pauses.ts";
import type { PromptLookup } from "../speculation/prompt-lookup.ts";
import { QueuePositions } from "./queue-positions.ts";
import { StepResults } from "./step-results.ts";
import { ServiceRates } from "../estimates/service-rates.ts";
import type { Slot } from "../generation/slot.ts";
import { doStep, promptParts, stepOf, type Step } from "../generation/step.ts";
import type { ForgetRequest } from "../../engine-wire/requests.ts";

export interface TickLoopOptions {
  /** In ascending order of id. */
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<RequestState>;
  readonly cost: CostModel;
  /** Absent: no KV states are stored. */
  readonly cache?: KvCache;
  /** Absent: no tokens are guessed. */
  readonly lookup?: PromptLookup;
  readonly limits: TickLimits;
  readonly clock: Clock;
  /** Called before each step, with its number of sequences and of prompt tokens and guesses. */
  readonly prepareStep?: (sequences: number, promptTokens: number) => void;
  /** Called after each step and each change outside of one, to send the collected events. Must not block. */
  readonly flush: () => void;
  /** Called with each fault of native code or of the loop. The loop fails the affected request. */
  readonly onFault: (error: unknown) => void;
}

/** Shortest retry delay for a refused request, in milliseconds. */
const MIN_RETRY_MS = 1000;

/** Idle milliseconds before the KV of free slots is stored: within this time a follow-up message may be on its way. */
const REST_MS = 100;

/**
 * Serves all slots in lock step. Each step gives every generating slot one token in one native batch, and processes
 * prompt chunks in one batch per length. Independent generators would give smaller batches, starve each other, and
 * never release the native lock to requests that need a slot.
 */
export class TickLoop {
  /** Number of steps so far. */
  steps = 0;
  readonly #options: TickLoopOptions;
  readonly #positions: QueuePositions;
  readonly #admission: Admission;
  readonly #purge: KvPurge;
  readonly #results: StepResults;
  #wake: (() => void) | undefined;
  #stopped = false;
  /** Nothing has run for {@link REST_MS}. */
  #rested = false;
  readonly #rates = new ServiceRates();
  readonly #pauses: DecodePauses;
  /** Whether generating slots skip the current step. */
  #paused = false;
  /** End of the last step that generating slots did not skip; undefined after a rest. */
  #lastEnd: number | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: TickLoopOptions) {
    this.#options = options;
    this.#pauses = new DecodePauses(options.limits.maxTickMs);
    this.#positions = new QueuePositions(
      options.queue,
      options.slots,
      options.clock,
      this.#rates,
      options.cost,
    );
    this.#purge = new KvPurge(options);
    this.#admission = new Admission({
      ...options,
      cache: options.cache,
      forgotten: (request) => this.#purge.concerns(request),
      started: (request) => this.#positions.started(request),
    });
    this.#results = new StepResults({
      ...options,
      rates: this.#rates,
      admission: this.#admission,
      purge: this.#purge,
    });
  }

  /** Whether no slot is in use. */
  get idle(): boolean {
    return !this.#options.slots.some((slot) => slot.request);
  }

  /** Smoothed length of a step in milliseconds. */
  get tickMs(): number {
    return this.#rates.tickMs;
  }

  /** Resolves after {@link stop}; rejects when the native side cannot recover and the process must exit. */
  start(): Promise<void> {
    this.#ended ??= this.#run();
    return this.#ended;
  }

  /** Waits for the current step to end. Unfinished requests receive no further events. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#ended;
  }

  /** Queues a request. @returns false when the queue is full. */
  submit(request: RequestState): boolean {
    const { queue } = this.#options;
    this.#admission.note(request);
    if (!queue.add(request)) return false;
    this.#positions.added(request);
    this.#wake?.();
    return true;
  }

  /** The error of a request that does not fit into the queue. */
  overloaded(): ServiceError {
    const { size } = this.#options.queue;
    return new ServiceError("overloaded", `${size} requests are already waiting for the model.`, {
      retryAfterMs: Math.max(MIN_RETRY_MS, this.#positions.retryAfterMs() ?? 0),
    });
  }

  /** Removes a request from the queue at once, or from its slot after the current step (at most LOCAL_MAX_TICK_MS). */
  cancel(request: RequestState): void {
    request.cancelled = true;
    this.#options.queue.remove(request);
    this.#wake?.();
  }

  /** Before the next step, erases what a client or one conversation has left in free slots and stored states. */
  forget(request: ForgetRequest): void {
    this.#purge.add(request);
    this.#wake?.();
  }

  stats(): LoopStats {
    const rates = this.#rates;
    const admission = this.#admission;
    const purge = this.#purge;
    return engineStats({ ...this.#options, rates, admission, purge });
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#results.releaseCancelled();
      await this.#purge.run();
      for (let failure = await this.#admission.run(); failure; failure = await this.#admission.resume()) {
        await this.#results.fail(failure.slot, failure.request, failure.error);
      }
      this.#positions.reportChanges();
      // Sends `started` before the first step, not with the first token.
      this.#options.flush();
      if (!this.idle) await this.#tick();
      else await this.#rest();
      this.#options.flush();
    }
  }

  /** Waits until there is work. Once rested, stores one KV state per call instead, as long as one is worth storing. */
  async #rest(): Promise<void> {
    this.#lastEnd = undefined;
    const { queue, clock } = this.#options;
    const { idle } = this.#admission;
    if (this.#stopped || this.#purge.due || queue.size + queue.background > 0) return;
    if (this.#rested && (await idle.storeOne())) return;
    const awake = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const stopTimer = this.#rested || !idle.due ? undefined : clock.after(REST_MS, () => this.#beginRest());
    await awake;
    stopTimer?.();
    this.#wake = undefined;
  }

  #beginRest(): void {
    this.#rested = true;
    this.#wake?.();
  }

  async #tick(): Promise<void> {
    const { clock, cost, lookup } = this.#options;
    this.#rested = false;
    const steps = this.#plan();
    if (steps.length === 0) {
      // Every busy slot waits for a state. Yields to the event loop, so that cancels can arrive.
      await turn();
      return;
    }
    const promptTokens = steps.reduce((sum, step) => sum + step.promptTokens, 0);
    const parts = promptParts(steps);
    const guesses = lookup?.guesses(steps) ?? [];
    this.#options.prepareStep?.(steps.length, promptTokens + guesses.length);
    const from = clock.now();
    const results = await Promise.allSettled(
      steps.map(async (step) => this.#results.take(step, await doStep(step, guesses))),
    );
    const ms = clock.now() - from;
    this.steps++;
    const failed = steps.filter((_, index) => results[index]?.status === "rejected");
    const generating = steps.filter((step) => step.promptTokens === 0).length;
    const sinceLast = this.#lastEnd === undefined ? undefined : from + ms - this.#lastEnd;
    const [first] = results;
    const drawn = first?.status === "fulfilled" ? first.value?.drawn : undefined;
    lookup?.observe(steps, ms, guesses.length, drawn);
    const tokensEach = guesses.length > 0 ? (drawn?.tokens.length ?? 1) : 1;
    this.#rates.step(ms, sinceLast, generating, promptTokens, steps.length, tokensEach);
    this.#pauses.step(ms, cost.stepMs(generating), promptTokens);
    if (!this.#paused) this.#lastEnd = from + ms;
    // A step with guesses takes longer and draws more, so it is no measure of other steps.
    if (failed.length === 0 && guesses.length === 0) cost.observe(ms, generating, parts);
    for (const [index, step] of steps.entries()) {
      const result = results[index];
      if (result?.status === "fulfilled") await this.#results.after(step, result.value);
    }
    if (failed.length > 0) await this.#results.recover(failed, results, guesses.length > 0);
    this.#results.reportProgress();
  }

  /** Steps in ascending order of id: native code combines only consecutive ascending ids into one pass. */
  #plan(): Step[] {
    const { slots, queue, cost, limits } = this.#options;
    const busy = slots.filter((slot) => slot.request && !slot.request.cancelled);
    const oldestFirst = this.#admission.prefilling();
    const drawing = busy.filter((slot) => slot.remaining === 0).length;
    const { generating, prompts, stretch } = this.#pauses.next(drawing, oldestFirst, cost.promptTokenMs);
    this.#paused = generating < drawing;
    const input = { generating, prefilling: prompts, stretch, waiting: queue.size, slots: slots.length };
    const chunks = new Map(planChunks(input, cost, limits).map((chunk) => [chunk.id, chunk.tokens]));
    const steps: Step[] = [];
    for (const slot of busy) {
      const promptTokens = chunks.get(slot.id) ?? 0;
      const { request } = slot;
      if (request && (promptTokens > 0 || (slot.remaining === 0 && !this.#paused))) {
        steps.push(stepOf(slot, request, promptTokens));
      }
    }
    return steps;
  }
}
