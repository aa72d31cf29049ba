import { AnswerLength } from "./answer-length.ts";

const SMOOTHING = 0.1;
// Rates for estimates over many steps change more slowly.
const SLOW = 0.03;

/** What the engine has been seen to do, smoothed. Times in milliseconds. Pure. */
export class ServiceRates {
  readonly lengths = new AnswerLength();
  tickMs = 0;
  batch = 0;
  /** Of prompt tokens in all tokens of a step. */
  promptShare = 0;
  #interval = 0;
  /** How many generated in the steps that made up the interval; 0: there were none yet. */
  #generating = 0;
  #promptMs = 0;
  #promptTokens = 0;

  /**
   * A step took `ms`; it was `sinceLast` after the end of the step before, if that came right before. `each`: tokens it
   * gave each answer.
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
    const weight = this.#generating === 0 ? 1 : SLOW;
    this.#interval += weight * (interval - this.#interval);
    this.#generating += weight * (generating - this.#generating);
  }

  /** A prompt of `tokens` that were not cached had its first token `ms` after it got its slot. */
  prompt(ms: number, tokens: number): void {
    this.#promptMs += SMOOTHING * (ms - this.#promptMs);
    this.#promptTokens += SMOOTHING * (tokens - this.#promptTokens);
  }

  /**
   * Mean time between two tokens of an answer while so many generate; 0 while unknown. Each one more than were seen lately adds
   * `sequenceMs`: who asks as a crowd comes in would otherwise be told times of when all was quiet.
   */
  intervalMs(generating: number, sequenceMs: number): number {
    if (this.#generating === 0) return 0;
    return this.#interval + Math.max(0, generating - this.#generating) * sequenceMs;
  }

  /** Whether times can be told. */
  get known(): boolean {
    return this.#generating > 0 && this.lengths.known;
  }

  /** How long a slot will be held by a request, from where it stands, at so long between two tokens. */
  holdMs(promptTokens: number, generated: number, maxTokens: number, intervalMs: number): number {
    const each = this.#promptTokens > 0 ? this.#promptMs / this.#promptTokens : 0;
    return promptTokens * each + this.lengths.remaining(generated, maxTokens) * intervalMs;
  }
}
