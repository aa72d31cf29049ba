import type { Clock } from "../core/clock.ts";
import type { Admission } from "./admission.ts";
import { LEAST_CHUNK } from "./chunk-plan.ts";
import type { CostModel } from "./cost-model.ts";
import type { Drawn } from "./engine-port.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Forgetting } from "./forgetting.ts";
import type { Generation } from "./generation.ts";
import type { PromptLookup } from "./prompt-lookup.ts";
import type { ServiceRates } from "./service-rates.ts";
import type { Slot } from "./slot.ts";
import { doStep, stepOf, type Step } from "./step.ts";

export interface ServingOptions {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<Generation>;
  readonly cost: CostModel;
  readonly clock: Clock;
  readonly rates: ServiceRates;
  readonly admission: Admission;
  readonly forgetting: Forgetting;
  readonly lookup?: PromptLookup;
  readonly flush: () => void;
  readonly onFault: (error: unknown) => void;
}

/** What a step gave one request. */
export interface Taken {
  readonly drawn: Drawn;
  /** Its answer has ended. */
  readonly over: boolean;
}

// Progress is told for prompts over this time, and no more often than PROGRESS_MS.
const LONG_PROMPT_MS = 1000;
const PROGRESS_MS = 500;

/** What becomes of the requests that have a slot: takes what steps give them, charges it, ends them and fails them. */
export class Serving {
  private readonly options: ServingOptions;

  constructor(options: ServingOptions) {
    this.options = options;
  }

  /** Takes what was drawn as soon as it is there. @returns undefined where nothing was. */
  take({ slot, generation }: Step, drawn: Drawn | undefined): Taken | undefined {
    if (!drawn) return undefined;
    if (generation.cancelled) return { drawn, over: false };
    const { rates, clock, flush } = this.options;
    const first = generation.generatedTokens === 0;
    if (first) {
      const { tokens } = generation.request;
      rates.prompt(clock.now() - slot.startedAt, tokens.length - generation.cachedTokens);
    }
    // What was drawn after the answer's end is not part of it.
    const over = drawn.tokens.some((token) => generation.accept(token)) || (drawn.ended && generation.end());
    this.pay(generation, generation.length);
    // Prompts of other lengths in this step are batches of their own: a first token does not wait for them.
    if (first) flush();
    return { drawn, over };
  }

  /** The step is done: ends what is over. Where nothing was taken, a part of a prompt was processed. */
  async after({ slot, generation }: Step, taken: Taken | undefined): Promise<void> {
    if (generation.cancelled) return;
    if (!taken) {
      this.pay(generation, slot.sequence.length);
      if (generation.background && slot.remaining === 0) {
        await this.options.admission.keepContext(slot);
        generation.finishBackground();
        await this.end(slot);
      }
      return;
    }
    if (!taken.over) return;
    const { generatedTokens, request } = generation;
    this.options.rates.lengths.observe(generatedTokens, generatedTokens < request.maxTokens);
    await this.end(slot);
  }

  /**
   * Tells how far prompts are that take long, also of those that had no part of the latest steps: while others come first
   * theirs waits in its slot, and whoever asked must hear that it is not lost (a sign of life renews the deadline of the first token).
   */
  tellProgress(): void {
    const { slots, clock, cost } = this.options;
    const now = clock.now();
    for (const slot of slots) {
      const { generation, remaining, sequence } = slot;
      if (!generation || generation.background || generation.cancelled || remaining === 0) continue;
      const expected = remaining * cost.promptTokenMs;
      if (now - slot.startedAt + expected < LONG_PROMPT_MS || now - slot.progressAt < PROGRESS_MS) continue;
      slot.progressAt = now;
      generation.events.progress(sequence.length, generation.request.tokens.length);
    }
  }

  async releaseCancelled(): Promise<void> {
    const { slots, rates } = this.options;
    for (const slot of slots) {
      const { generation } = slot;
      if (!generation?.cancelled) continue;
      if (generation.generatedTokens > 0) rates.lengths.observe(generation.generatedTokens, false);
      await this.end(slot);
    }
  }

  /**
   * A fault of one item rejects all items of its native batch. Alone it is the culprit; of several, or with guesses, each is
   * tried again by itself, and only those that fail again are failed.
   */
  async recover(
    steps: readonly Step[],
    results: readonly PromiseSettledResult<unknown>[],
    guessed: boolean,
  ): Promise<void> {
    const [fault] = results.filter((result) => result.status === "rejected");
    this.options.onFault(fault?.reason);
    for (const step of steps) {
      const { slot, generation } = step;
      if (generation.cancelled) continue;
      try {
        if (steps.length === 1 && !guessed) throw fault?.reason;
        await slot.restart(generation);
        const again = stepOf(slot, generation, Math.min(slot.remaining, LEAST_CHUNK));
        await this.after(again, this.take(again, await doStep(again)));
      } catch (error) {
        await this.fail(slot, generation, error);
      }
    }
  }

  async fail(slot: Slot, generation: Generation, error: unknown): Promise<void> {
    const { queue, onFault } = this.options;
    onFault(error);
    generation.events.failed(error);
    // It may have failed before the slot was its own.
    if (slot.generation !== generation) queue.done(generation);
    await this.end(slot);
    await slot.clear();
  }

  /** Charges what was served of a request up to a length; nothing is charged twice, and cached tokens are free. */
  private pay(generation: Generation, length: number): void {
    if (length <= generation.paidTokens) return;
    this.options.queue.charge(generation, length - generation.paidTokens);
    generation.paidTokens = length;
  }

  private async end(slot: Slot): Promise<void> {
    const { queue, clock, forgetting, lookup } = this.options;
    const { generation } = slot;
    await slot.release(clock.now());
    if (!generation) return;
    lookup?.left(generation);
    queue.done(generation);
    await forgetting.left(slot, generation);
  }
}
