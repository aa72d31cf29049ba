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

/** What a step drew for one request. */
export interface StepOutcome {
  readonly drawn: Drawn;
  readonly answerEnded: boolean;
}

/** Shortest expected time of a prompt whose progress is reported, in milliseconds. */
const LONG_PROMPT_MS = 1000;
/** Shortest time between two progress reports of one request, in milliseconds. */
const PROGRESS_MS = 500;

/** Applies the results of steps to the requests that hold a slot: charges, ends and fails them. */
export class StepResults {
  readonly #options: StepResultsOptions;

  constructor(options: StepResultsOptions) {
    this.#options = options;
  }

  /** Applies drawn tokens as soon as they arrive. @returns undefined when nothing was drawn. */
  take({ slot, request }: Step, drawn: Drawn | undefined): StepOutcome | undefined {
    if (!drawn) return undefined;
    if (request.cancelled) return { drawn, answerEnded: false };
    const { rates, clock, flush } = this.#options;
    const first = request.generatedTokens === 0;
    if (first) {
      const { tokens } = request.prepared;
      rates.prompt(clock.now() - slot.startedAt, tokens.length - request.cachedTokens);
    }
    // Tokens drawn after the end of the answer are dropped.
    const answerEnded = drawn.tokens.some((token) => request.accept(token)) || (drawn.ended && request.end());
    this.#charge(request, request.length);
    // Prompts of other lengths in this step run as batches of their own. The first token does not wait for them.
    if (first) flush();
    return { drawn, answerEnded };
  }

  /** Completes a step for one request and ends a finished one. Without an outcome, part of a prompt was processed. */
  async after({ slot, request }: Step, outcome: StepOutcome | undefined): Promise<void> {
    if (request.cancelled) return;
    if (!outcome) {
      this.#charge(request, slot.sequence.length);
      if (request.background && slot.remaining === 0) {
        await this.#options.admission.keepContext(slot);
        request.finishBackground();
        await this.#end(slot);
      }
      return;
    }
    if (!outcome.answerEnded) return;
    const { generatedTokens, prepared } = request;
    this.#options.rates.lengths.observe(generatedTokens, generatedTokens < prepared.maxTokens);
    await this.#end(slot);
  }

  /**
   * Reports the progress of long prompts, including prompts that wait in their slot while others are processed first:
   * each report renews the deadline of the first token.
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

  /** Ends the cancelled requests that hold a slot. */
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
   * Handles a failed native batch. A fault of one item rejects every item of its batch. A single item without guesses
   * fails its request at once. Otherwise each item is retried alone, and only those that fail again fail their
   * request.
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

  /** Fails one request, frees its slot and erases the slot's KV. */
  async fail(slot: Slot, request: RequestState, error: unknown): Promise<void> {
    const { queue, onFault } = this.#options;
    onFault(error);
    request.events.failed(error);
    // The request may have failed before the slot was assigned to it.
    if (slot.request !== request) queue.done(request);
    await this.#end(slot);
    await slot.clear();
  }

  /** Charges the tokens of a request up to `length`. No token is charged twice, and cached tokens are free. */
  #charge(request: RequestState, length: number): void {
    if (length <= request.paidTokens) return;
    this.#options.queue.charge(request, length - request.paidTokens);
    request.paidTokens = length;
  }

  async #end(slot: Slot): Promise<void> {
    const { queue, clock, purge, lookup } = this.#options;
    const { request } = slot;
    await slot.release(clock.now());
    if (!request) return;
    lookup?.released(request);
    queue.done(request);
    await purge.released(slot, request);
  }
}
