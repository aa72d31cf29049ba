import type { Clock } from "../../core/clock.ts";
import type { Admission } from "./admission.ts";
import { MIN_CHUNK } from "../scheduling/chunk-plan.ts";
import type { CostModel } from "../estimates/cost-model.ts";
import type { Drawn } from "../ports.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import type { KvPurge } from "../kv/kv-purge.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { PromptLookup } from "../speculation/prompt-lookup.ts";
import type { ServiceRates } from "../estimates/service-rates.ts";
import type { Slot } from "../generation/slot.ts";
import { doStep, stepOf, type Step } from "../generation/step.ts";

export interface StepResultsOptions {
  readonly slots: readonly Slot[];
  readonly queue: FairQueue<RequestState>;
  readonly cost: CostModel;
  readonly clock: Clock;
  readonly rates: ServiceRates;
  readonly admission: Admission;
  readonly purge: KvPurge;
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
export class StepResults {
  readonly #options: StepResultsOptions;

  constructor(options: StepResultsOptions) {
    this.#options = options;
  }

  /** Takes what was drawn as soon as it is there. @returns undefined where nothing was. */
  take({ slot, request }: Step, drawn: Drawn | undefined): Taken | undefined {
    if (!drawn) return undefined;
    if (request.cancelled) return { drawn, over: false };
    const { rates, clock, flush } = this.#options;
    const first = request.generatedTokens === 0;
    if (first) {
      const { tokens } = request.prepared;
      rates.prompt(clock.now() - slot.startedAt, tokens.length - request.cachedTokens);
    }
    // What was drawn after the answer's end is not part of it.
    const over = drawn.tokens.some((token) => request.accept(token)) || (drawn.ended && request.end());
    this.#pay(request, request.length);
    // Prompts of other lengths in this step are batches of their own: a first token does not wait for them.
    if (first) flush();
    return { drawn, over };
  }

  /** The step is done: ends what is over. Where nothing was taken, a part of a prompt was processed. */
  async after({ slot, request }: Step, taken: Taken | undefined): Promise<void> {
    if (request.cancelled) return;
    if (!taken) {
      this.#pay(request, slot.sequence.length);
      if (request.background && slot.remaining === 0) {
        await this.#options.admission.keepContext(slot);
        request.finishBackground();
        await this.#end(slot);
      }
      return;
    }
    if (!taken.over) return;
    const { generatedTokens, prepared } = request;
    this.#options.rates.lengths.observe(generatedTokens, generatedTokens < prepared.maxTokens);
    await this.#end(slot);
  }

  /**
   * Tells how far prompts are that take long, also of those that had no part of the latest steps: while others come first
   * theirs waits in its slot, and whoever asked must hear that it is not lost (a sign of life renews the deadline of the first token).
   */
  reportProgress(): void {
    const { slots, clock, cost } = this.#options;
    const now = clock.now();
    for (const slot of slots) {
      const { request, remaining, sequence } = slot;
      if (!request || request.background || request.cancelled || remaining === 0) continue;
      const expected = remaining * cost.promptTokenMs;
      if (now - slot.startedAt + expected < LONG_PROMPT_MS || now - slot.progressAt < PROGRESS_MS) continue;
      slot.progressAt = now;
      request.events.progress(sequence.length, request.prepared.tokens.length);
    }
  }

  async releaseCancelled(): Promise<void> {
    const { slots, rates } = this.#options;
    for (const slot of slots) {
      const { request } = slot;
      if (!request?.cancelled) continue;
      if (request.generatedTokens > 0) rates.lengths.observe(request.generatedTokens, false);
      await this.#end(slot);
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
    this.#options.onFault(fault?.reason);
    for (const step of steps) {
      const { slot, request } = step;
      if (request.cancelled) continue;
      try {
        if (steps.length === 1 && !guessed) throw fault?.reason;
        await slot.restart(request);
        const again = stepOf(slot, request, Math.min(slot.remaining, MIN_CHUNK));
        await this.after(again, this.take(again, await doStep(again)));
      } catch (error) {
        await this.fail(slot, request, error);
      }
    }
  }

  async fail(slot: Slot, request: RequestState, error: unknown): Promise<void> {
    const { queue, onFault } = this.#options;
    onFault(error);
    request.events.failed(error);
    // It may have failed before the slot was its own.
    if (slot.request !== request) queue.done(request);
    await this.#end(slot);
    await slot.clear();
  }

  /** Charges what was served of a request up to a length; nothing is charged twice, and cached tokens are free. */
  #pay(request: RequestState, length: number): void {
    if (length <= request.paidTokens) return;
    this.#options.queue.charge(request, length - request.paidTokens);
    request.paidTokens = length;
  }

  async #end(slot: Slot): Promise<void> {
    const { queue, clock, purge, lookup } = this.#options;
    const { request } = slot;
    await slot.release(clock.now());
    if (!request) return;
    lookup?.left(request);
    queue.done(request);
    await purge.left(slot, request);
  }
}
