import { AnswerLength } from "./answer-length.ts";

/** Weight of one step or prompt in the smoothed rates. */
const SMOOTHING = 0.1;
/** Weight of one step in the time between two tokens, from which waits of many steps are estimated. */
const SLOW_SMOOTHING = 0.03;

/** Observed rates of the engine, smoothed. Times are in milliseconds. No I/O. */
export class ServiceRates {
  readonly lengths = new AnswerLength();
  /** Length of a step. */
  tickMs = 0;
  /** Number of sequences in a step. */
  batch = 0;
  /** Share of prompt tokens in all tokens of a step, 0..1. */
  promptShare = 0;
  #interval = 0;
  /** Mean number of generating slots in the steps behind the interval; 0 before the first one. */
  #generating = 0;
  #promptMs = 0;
  #promptTokens = 0;

  /**
   * Records a step.
   *
   * @param ms its length
   * @param sinceLast time from the end of the last step with generating slots to the end of this one; undefined after
   *   a rest
   * @param generating number of generating slots
   * @param promptTokens prompt tokens that it processed
   * @param batch number of sequences
   * @param each tokens that each answer got
   */
  step(
    ms: number,
    sinceLast: number | undefined,
    generating: number,
    promptTokens: number,
    batch: number,
    each = 1,
  ): void {
    this.tickMs += SMOOTHING * (ms - this.tickMs);
    this.batch += SMOOTHING * (batch - this.batch);
    this.promptShare +=
      SMOOTHING * (promptTokens / Math.max(1, promptTokens + generating) - this.promptShare);
    if (generating === 0) return;
    const interval = (sinceLast ?? ms) / Math.max(1, each);
    const weight = this.#generating === 0 ? 1 : SLOW_SMOOTHING;
    this.#interval += weight * (interval - this.#interval);
    this.#generating += weight * (generating - this.#generating);
  }

  /** Records a prompt with `tokens` uncached tokens whose first answer token came `ms` after it got its slot. */
  prompt(ms: number, tokens: number): void {
    this.#promptMs += SMOOTHING * (ms - this.#promptMs);
    this.#promptTokens += SMOOTHING * (tokens - this.#promptTokens);
  }

  /**
   * Mean time between two tokens of an answer with `generating` slots; 0 while unknown. Each slot beyond the number
   * seen lately adds `sequenceMs`: otherwise the estimates for an arriving crowd would be based on the quiet time
   * before.
   */
  intervalMs(generating: number, sequenceMs: number): number {
    if (this.#generating === 0) return 0;
    return this.#interval + Math.max(0, generating - this.#generating) * sequenceMs;
  }

  /** Whether enough was observed for estimates. */
  get known(): boolean {
    return this.#generating > 0 && this.lengths.known;
  }

  /** Expected time until a request releases its slot, at `intervalMs` between two tokens. */
  holdMs(promptTokens: number, generated: number, maxTokens: number, intervalMs: number): number {
    const each = this.#promptTokens > 0 ? this.#promptMs / this.#promptTokens : 0;
    return promptTokens * each + this.lengths.remaining(generated, maxTokens) * intervalMs;
  }
}
