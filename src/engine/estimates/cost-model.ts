import { OUTLIER, WEIGHT } from "./observation.ts";
import { PromptCost, type PromptPart } from "./prompt-cost.ts";

/** Below this variance of the number of sequences, differences in cost cannot be attributed to their number. */
const MIN_VARIANCE = 1;
/** Assumed relative error of the learned cost of decoding, which depends on more than the number of slots. */
const STEP_DOUBT = 0.15;
/** Assumed relative error of the learned cost of prompts. */
const PROMPT_DOUBT = 0.1;
/** Weight of a step without prompts that follows steps with prompts, which give no measurement of decoding alone. */
const RARE_WEIGHT = 0.4;
/** Assumed error for each sequence beyond the number seen lately, in prompt tokens. */
const UNSEEN_TOKENS = 4;

/**
 * Learns how long a step of the engine takes. A step with `g` generating slots and no prompts is modelled as a line
 * in `g`; {@link PromptCost} is what prompt tokens add to it. All times are in milliseconds.
 */
export class CostModel {
  readonly #prompt: PromptCost;
  #seen = false;
  /** Whether the latest step with generating slots had prompts too. */
  #mixed = false;
  #meanCount = 0;
  #meanMs = 0;
  #meanSquare = 0;
  #meanProduct = 0;
  #slope = 0;

  /**
   * @param promptTokenMs first guess of the cost per prompt token, measured when the model was loaded
   * @param tileTokens see {@link PromptCost}
   */
  constructor(promptTokenMs: number, tileTokens = 1) {
    this.#prompt = new PromptCost(promptTokenMs, tileTokens);
  }

  /** Cost of one more prompt token, at the chunk lengths and depths of the latest prompts. */
  get promptTokenMs(): number {
    return this.#prompt.tokenMs;
  }

  /** Cost of each token of this part of a prompt. */
  promptTokenMsOf(part: PromptPart): number {
    return this.#prompt.tokenMsOf(part);
  }

  /** Length of a step in which `generating` slots each get one token and no prompt is processed. */
  stepMs(generating: number): number {
    if (generating === 0) return 0;
    if (!this.#seen) return this.#prompt.tokenMs * generating;
    return Math.max(this.#meanMs + this.#slope * (generating - this.#meanCount), this.#meanMs * 0.1, 0);
  }

  /** Cost of one more generating sequence; that of a prompt token until it has been observed. */
  get sequenceMs(): number {
    return this.#slope > 0 ? this.#slope : this.#prompt.tokenMs;
  }

  /** Learns from a step of `ms` with these parts of prompts. */
  observe(ms: number, generating: number, prompts: readonly PromptPart[]): void {
    if (prompts.length === 0) {
      if (generating === 0) return;
      this.#observeStep(ms, generating, this.#mixed ? RARE_WEIGHT : WEIGHT);
      this.#mixed = false;
      return;
    }
    const stepMs = this.stepMs(generating);
    const promptMs = this.#prompt.msOf(prompts);
    const off = ms - stepMs - promptMs;
    const ofStep = generating === 0 ? 0 : off * this.#decodingShare(stepMs, promptMs, generating);
    this.#prompt.observe(promptMs + off - ofStep, prompts);
    if (generating === 0) return;
    this.#mixed = true;
    this.#observeStep(Math.max(stepMs / OUTLIER, stepMs + ofStep), generating, WEIGHT);
  }

  /**
   * Share of a prediction error that is attributed to decoding, in a step with prompts, by the assumed errors of both
   * costs. While a crowd arrives, every step has prompts, and more generating slots than the step before. The cost of
   * the new slots must not be attributed to prompts.
   */
  #decodingShare(stepMs: number, promptMs: number, generating: number): number {
    const near = this.#seen ? Math.sqrt(Math.max(0, this.#meanSquare - this.#meanCount ** 2)) : 0;
    const unseen = Math.max(0, Math.abs(generating - this.#meanCount) - near);
    const step = STEP_DOUBT * stepMs + UNSEEN_TOKENS * this.#prompt.tokenMs * unseen;
    const prompt = PROMPT_DOUBT * promptMs;
    return step ** 2 / (step ** 2 + prompt ** 2);
  }

  #observeStep(ms: number, generating: number, usual: number): void {
    const bounded = this.#seen ? Math.min(ms, this.stepMs(generating) * OUTLIER) : ms;
    const weight = this.#seen ? usual : 1;
    this.#seen = true;
    this.#meanCount += weight * (generating - this.#meanCount);
    this.#meanMs += weight * (bounded - this.#meanMs);
    this.#meanSquare += weight * (generating ** 2 - this.#meanSquare);
    this.#meanProduct += weight * (generating * bounded - this.#meanProduct);
    const variance = this.#meanSquare - this.#meanCount ** 2;
    // While the number of slots stays nearly the same, the slope learned before still holds.
    if (variance < MIN_VARIANCE) return;
    this.#slope = Math.max(0, (this.#meanProduct - this.#meanCount * this.#meanMs) / variance);
  }
}
