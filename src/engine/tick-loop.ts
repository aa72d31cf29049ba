import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import { Admission } from "./admission.ts";
import type { CostModel } from "./cost-model.ts";
import type { Drawn } from "./engine-port.ts";
import { engineStats } from "./engine-stats.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Generation } from "./generation.ts";
import type { KvCache } from "./kv-cache.ts";
import type { PromptLookup } from "./prompt-lookup.ts";
import { QueueNotes } from "./queue-notes.ts";
import { ServiceRates } from "./service-rates.ts";
import { LEAST_CHUNK, planChunks, type TickLimits } from "./scheduler.ts";
import type { Slot } from "./slot.ts";
import { doStep, meanDepth, stepOf, type Step } from "./step.ts";
import type { EngineStats } from "./wire.ts";

export interface TickLoopOptions {
  /** In ascending order of id. */
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<Generation>;
  readonly cost: CostModel;
  /** Absent: no states of sequences are stored. */
  readonly cache?: KvCache;
  /** Absent: no tokens are guessed. */
  readonly lookup?: PromptLookup;
  readonly limits: TickLimits;
  readonly clock: Clock;
  /** Called before each step, with its sequences and its prompt tokens or guesses. */
  readonly prepareStep?: (sequences: number, promptTokens: number) => void;
  /** Called after each step and each change outside of one: send what the events have gathered. Must not wait. */
  readonly flush: () => void;
  /** A fault of native code or of the loop; the request concerned has been failed. */
  readonly onFault: (error: unknown) => void;
}

// Progress is told for prompts over this time, and no more often than PROGRESS_MS.
const LONG_PROMPT_MS = 1000;
const PROGRESS_MS = 500;
const LEAST_RETRY_MS = 1000;
// Share of the aim between two tokens that loading and saving states may take.
const MOVE_SHARE = 0.1;

/**
 * Serves all slots in lock step: each step gives every generating slot one token and at most one length of prompt
 * chunks, as one native batch. Free-running generators would give smaller batches, starve each other and never leave
 * the native lock to those who want a slot.
 */
export class TickLoop {
  /** Steps so far. */
  steps = 0;
  private readonly options: TickLoopOptions;
  private readonly notes: QueueNotes;
  private readonly admission: Admission;
  private wake: (() => void) | undefined;
  private stopped = false;
  private readonly rates = new ServiceRates();
  /** When the last step ended, if nothing but admission came since. */
  private lastEnd: number | undefined;
  private ended: Promise<void> | undefined;

  constructor(options: TickLoopOptions) {
    this.options = options;
    this.notes = new QueueNotes(options.queue, options.slots, options.clock, this.rates);
    this.admission = new Admission({
      ...options,
      cache: options.cache,
      moveMs: options.limits.itlTargetMs * MOVE_SHARE,
      started: (generation) => this.notes.started(generation),
      failed: (slot, generation, error) => this.fail(slot, generation, error),
    });
  }

  /** Ends after {@link stop}; rejects when the native side is beyond repair, and the process must end. */
  start(): Promise<void> {
    this.ended ??= this.run();
    return this.ended;
  }

  /** Lets the present step end. Requests that are left get no further events. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.wake?.();
    await this.ended;
  }

  /** @throws ServiceError `overloaded` when the queue is full. */
  submit(generation: Generation): void {
    const { queue } = this.options;
    this.admission.note(generation);
    if (!queue.add(generation)) throw this.overloaded();
    this.notes.added(generation);
    this.wake?.();
  }

  overloaded(): ServiceError {
    const { size } = this.options.queue;
    return new ServiceError("overloaded", `${size} requests wait for the model already.`, {
      retryAfterMs: Math.max(LEAST_RETRY_MS, this.notes.comeBackMs() ?? 0),
    });
  }

  /** Acts at once in the queue, and else after the present step, which is at most one prompt chunk long. */
  cancel(generation: Generation): void {
    generation.cancelled = true;
    this.options.queue.remove(generation);
    this.wake?.();
  }

  stats(): EngineStats {
    return engineStats({ ...this.options, rates: this.rates, admission: this.admission });
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      await this.releaseCancelled();
      await this.admission.run();
      this.notes.tellChanges();
      // That a request has begun is told before its first step, not with its first token.
      this.options.flush();
      if (this.options.slots.some((slot) => slot.generation)) await this.tick();
      else await this.sleep();
      this.options.flush();
    }
  }

  private async sleep(): Promise<void> {
    this.lastEnd = undefined;
    const { queue } = this.options;
    if (this.stopped || queue.size + queue.background > 0) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = undefined;
  }

  private async releaseCancelled(): Promise<void> {
    for (const slot of this.options.slots) {
      const { generation } = slot;
      if (!generation?.cancelled) continue;
      if (generation.generatedTokens > 0) this.rates.lengths.observe(generation.generatedTokens, false);
      await this.end(slot);
    }
  }

  private async tick(): Promise<void> {
    const { clock, cost } = this.options;
    const steps = this.plan();
    if (steps.length === 0) {
      // All that has a slot waits for a state; whoever cancels must get a turn meanwhile.
      await turn();
      return;
    }
    const promptTokens = steps.reduce((sum, step) => sum + step.promptTokens, 0);
    const depth = meanDepth(steps, promptTokens);
    const guesses = this.options.lookup?.guesses(steps) ?? [];
    this.options.prepareStep?.(steps.length, promptTokens + guesses.length);
    const from = clock.now();
    const results = await Promise.allSettled(steps.map((step) => doStep(step, guesses)));
    const ms = clock.now() - from;
    this.steps++;
    const failed = steps.filter((_, index) => results[index]?.status === "rejected");
    const generating = steps.filter((step) => step.promptTokens === 0).length;
    const sinceLast = this.lastEnd === undefined ? undefined : from + ms - this.lastEnd;
    const [first] = results;
    const drawn = first?.status === "fulfilled" ? first.value : undefined;
    this.options.lookup?.observe(steps, ms, guesses.length, drawn);
    const each = guesses.length > 0 ? (drawn?.tokens.length ?? 1) : 1;
    this.rates.step(ms, sinceLast, generating, promptTokens, steps.length, each);
    this.lastEnd = from + ms;
    // A step with guesses is longer and gives more: it says nothing of others.
    if (failed.length === 0 && guesses.length === 0) cost.observe(ms, generating, promptTokens, depth);
    for (const [index, step] of steps.entries()) {
      const result = results[index];
      if (result?.status === "fulfilled") await this.afterStep(step, result.value);
    }
    if (failed.length > 0) await this.recover(failed, results);
  }

  /** Ascending by id: native code puts only consecutive ascending ids into one pass. */
  private plan(): Step[] {
    const { slots, queue, cost, limits } = this.options;
    const busy = slots.filter((slot) => slot.generation && !slot.generation.cancelled);
    const prefilling = this.admission.prefilling();
    const generating = busy.filter((slot) => slot.remaining === 0).length;
    const input = { generating, prefilling, waiting: queue.size, slots: slots.length };
    const chunks = new Map(planChunks(input, cost, limits).map((chunk) => [chunk.id, chunk.tokens]));
    const steps: Step[] = [];
    for (const slot of busy) {
      const promptTokens = chunks.get(slot.id) ?? 0;
      const { generation } = slot;
      if (generation && (promptTokens > 0 || slot.remaining === 0)) {
        steps.push(stepOf(slot, generation, promptTokens));
      }
    }
    return steps;
  }

  private async afterStep(step: Step, result: Drawn | undefined): Promise<void> {
    const { slot, generation } = step;
    if (generation.cancelled) return;
    if (!result) {
      this.pay(generation, slot.sequence.length);
      if (!generation.background) this.tellProgress(slot, generation);
      else if (slot.remaining === 0) {
        await this.admission.keepContext(slot);
        generation.finishBackground();
        await this.end(slot);
      }
      return;
    }
    if (generation.generatedTokens === 0) {
      const { tokens } = generation.request;
      this.rates.prompt(this.options.clock.now() - slot.startedAt, tokens.length - generation.cachedTokens);
    }
    // What was drawn after the answer's end is not part of it.
    const over =
      result.tokens.some((token) => generation.accept(token)) || (result.ended && generation.end());
    this.pay(generation, generation.length);
    if (!over) return;
    const { generatedTokens, request } = generation;
    this.rates.lengths.observe(generatedTokens, generatedTokens < request.maxTokens);
    await this.end(slot);
  }

  /** Charges what was served of a request up to a length; nothing is charged twice, and cached tokens are free. */
  private pay(generation: Generation, length: number): void {
    if (length <= generation.paidTokens) return;
    this.options.queue.charge(generation, length - generation.paidTokens);
    generation.paidTokens = length;
  }

  private async end(slot: Slot): Promise<void> {
    const { generation } = slot;
    await slot.release(this.options.clock.now());
    if (generation) this.options.queue.done(generation);
  }

  private tellProgress(slot: Slot, generation: Generation): void {
    const now = this.options.clock.now();
    const expected = slot.remaining * this.options.cost.promptTokenMs;
    if (now - slot.startedAt + expected < LONG_PROMPT_MS || now - slot.progressAt < PROGRESS_MS) return;
    slot.progressAt = now;
    generation.events.progress(slot.sequence.length, generation.request.tokens.length);
  }

  /**
   * A fault of one item rejects all items of the native batch. Alone it is the culprit; of several, each is tried
   * again by itself, and only those that fail again are failed.
   */
  private async recover(
    steps: readonly Step[],
    results: readonly PromiseSettledResult<unknown>[],
  ): Promise<void> {
    const [fault] = results.filter((result) => result.status === "rejected");
    this.options.onFault(fault?.reason);
    for (const step of steps) {
      const { slot, generation } = step;
      if (generation.cancelled) continue;
      try {
        if (steps.length === 1) throw fault?.reason;
        await slot.restart(generation);
        const again = stepOf(slot, generation, Math.min(slot.remaining, LEAST_CHUNK));
        await this.afterStep(again, await doStep(again));
      } catch (error) {
        await this.fail(slot, generation, error);
      }
    }
  }

  private async fail(slot: Slot, generation: Generation, error: unknown): Promise<void> {
    this.options.onFault(error);
    generation.events.failed(error);
    // It may have failed before the slot was its own.
    if (slot.generation !== generation) this.options.queue.done(generation);
    await this.end(slot);
    await slot.clear();
  }
}
