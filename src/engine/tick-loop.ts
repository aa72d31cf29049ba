import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { CostModel } from "./cost-model.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Generation } from "./generation.ts";
import { QueueNotes } from "./queue-notes.ts";
import { chooseSlot, LEAST_CHUNK, planChunks, type TickLimits } from "./scheduler.ts";
import type { Slot } from "./slot.ts";
import type { EngineStats } from "./wire.ts";

export interface TickLoopOptions {
  /** In ascending order of id. */
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<Generation>;
  readonly cost: CostModel;
  readonly limits: TickLimits;
  readonly clock: Clock;
  /** Called after each step and each change outside of one: send what the events have gathered. Must not wait. */
  readonly flush: () => void;
  /** A fault of native code or of the loop; the request concerned has been failed. */
  readonly onFault: (error: unknown) => void;
}

interface Step {
  readonly slot: Slot;
  readonly generation: Generation;
  /** 0: draws a token. */
  readonly promptTokens: number;
}

// Progress is told for prompts over this time, and no more often than PROGRESS_MS.
const LONG_PROMPT_MS = 1000;
const PROGRESS_MS = 500;

/**
 * Serves all slots in lock step: each step gives every generating slot one token and at most one length of prompt
 * chunks, as one native batch. Free-running generators would give smaller batches, starve each other and never leave
 * the native lock to those who want a slot.
 */
export class TickLoop {
  private readonly options: TickLoopOptions;
  private readonly notes: QueueNotes;
  private wake: (() => void) | undefined;
  private stopped = false;
  private tickMs = 0;
  private ended: Promise<void> | undefined;

  constructor(options: TickLoopOptions) {
    this.options = options;
    this.notes = new QueueNotes(options.queue, options.slots.length, options.clock);
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
    const { queue, slots } = this.options;
    if (!queue.add(generation)) throw this.overloaded();
    const free = slots.filter((slot) => !slot.generation).length;
    if (queue.size > free) this.notes.tell(generation, queue.size - free);
    this.wake?.();
  }

  overloaded(): ServiceError {
    const { size } = this.options.queue;
    return new ServiceError("overloaded", `${size} requests wait for the model already.`, {
      retryAfterMs: this.notes.etaMs(Math.ceil(size / 4)) ?? 1000,
    });
  }

  /** Acts at once in the queue, and else after the present step, which is at most one prompt chunk long. */
  cancel(generation: Generation): void {
    generation.cancelled = true;
    this.options.queue.remove(generation);
    this.wake?.();
  }

  stats(): EngineStats {
    const { queue, slots } = this.options;
    let running = 0;
    let keptTokens = 0;
    for (const slot of slots) {
      if (slot.generation) running++;
      keptTokens += slot.sequence.length;
    }
    return { waiting: queue.size, running, keptTokens, tickMs: Math.round(this.tickMs * 10) / 10 };
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      await this.releaseCancelled();
      await this.admit();
      this.notes.tellChanges();
      if (this.options.slots.some((slot) => slot.generation)) await this.tick();
      else await this.sleep();
      this.options.flush();
    }
  }

  private async sleep(): Promise<void> {
    this.options.flush();
    if (this.stopped || this.options.queue.size > 0) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = undefined;
  }

  private async releaseCancelled(): Promise<void> {
    for (const slot of this.options.slots) {
      if (slot.generation?.cancelled) await this.end(slot);
    }
  }

  private async admit(): Promise<void> {
    const { queue, slots, clock } = this.options;
    for (;;) {
      const free = slots.filter((slot) => !slot.generation);
      const generation = free.length > 0 ? queue.take(slots.length) : undefined;
      if (!generation) return;
      const slot = this.slotFor(generation, free);
      try {
        await slot.assign(generation, clock.now());
      } catch (error) {
        await this.fail(slot, generation, error);
        continue;
      }
      generation.paidTokens = Math.max(generation.paidTokens, generation.cachedTokens);
      const { tokens, droppedTurns } = generation.request;
      generation.events.started(tokens.length, generation.cachedTokens, droppedTurns);
    }
  }

  private slotFor(generation: Generation, free: readonly Slot[]): Slot {
    const choices = free.map((slot) => ({
      id: slot.id,
      reusable: slot.reusable(generation),
      same: slot.keeps(generation),
      kept: slot.sequence.length,
      lastUsed: slot.lastUsed,
    }));
    const active = this.options.slots.filter((slot) => slot.generation).map((slot) => slot.id);
    const id = chooseSlot(choices, active, generation.request.tokens.length);
    return free.find((slot) => slot.id === id) ?? (free[0] as Slot);
  }

  private async tick(): Promise<void> {
    const { clock, cost } = this.options;
    const steps = this.plan();
    const from = clock.now();
    const results = await Promise.allSettled(steps.map(doStep));
    const ms = clock.now() - from;
    this.tickMs += 0.1 * (ms - this.tickMs);
    const failed = steps.filter((_, index) => results[index]?.status === "rejected");
    if (failed.length === 0) {
      const promptTokens = steps.reduce((sum, step) => sum + step.promptTokens, 0);
      cost.observe(ms, steps.filter((step) => step.promptTokens === 0).length, promptTokens);
    }
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
    const prefilling = busy
      .filter((slot) => slot.remaining > 0)
      .toSorted((a, b) => a.startedAt - b.startedAt || a.id - b.id)
      .map(({ id, remaining }) => ({ id, remaining }));
    const generating = busy.length - prefilling.length;
    const input = { generating, prefilling, waiting: queue.size, slots: slots.length };
    const chunks = new Map(planChunks(input, cost, limits).map((chunk) => [chunk.id, chunk.tokens]));
    const steps: Step[] = [];
    for (const slot of busy) {
      const promptTokens = chunks.get(slot.id) ?? 0;
      const { generation } = slot;
      if (generation && (promptTokens > 0 || slot.remaining === 0)) {
        steps.push({ slot, generation, promptTokens });
      }
    }
    return steps;
  }

  private async afterStep(step: Step, result: IteratorResult<number, void> | undefined): Promise<void> {
    const { slot, generation } = step;
    if (generation.cancelled) return;
    if (!result) {
      this.pay(generation, slot.sequence.length);
      this.tellProgress(slot, generation);
      return;
    }
    const over = result.done === true ? generation.end() : generation.accept(result.value);
    this.pay(generation, generation.length);
    if (!over) return;
    this.notes.observeService(this.options.clock.now() - slot.startedAt);
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
        const promptTokens = Math.min(slot.remaining, LEAST_CHUNK);
        await this.afterStep(step, await doStep({ slot, generation, promptTokens }));
      } catch (error) {
        await this.fail(slot, generation, error);
      }
    }
  }

  private async fail(slot: Slot, generation: Generation, error: unknown): Promise<void> {
    this.options.onFault(error);
    generation.events.failed(error);
    await this.end(slot);
    await slot.clear();
  }
}

async function doStep(step: Step): Promise<IteratorResult<number, void> | undefined> {
  const { slot, generation, promptTokens } = step;
  if (promptTokens === 0) return slot.next(generation);
  await slot.prefill(generation, promptTokens);
  return undefined;
}
