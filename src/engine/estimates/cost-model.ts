import { OUTLIER, WEIGHT } from "./observation.ts";
import { PromptCost, type PromptPart } from "./prompt-cost.ts";

// Below this variance of the number of sequences, a difference of cost says nothing about their number.
const MIN_VARIANCE = 1;
// How far what was learned may be off, as a share of it; what those who generate take changes with more than their number.
const STEP_DOUBT = 0.15;
const PROMPT_DOUBT = 0.1;
// Weight of a step without prompts after some with them: what it shows, it shows for those too.
const RARE_WEIGHT = 0.4;
// A sequence more than were seen lately may cost as much as so many prompt tokens.
const UNSEEN_TOKENS = 4;

/**
 * Learns how long a step of the engine takes: a step of `g` generating slots without prompts as a line in `g`, and what
 * prompt tokens add ({@link PromptCost}). All times in milliseconds.
 */
export class CostModel {
  readonly #prompt: PromptCost;
  #seen = false;
  /** The latest step with those who generate had prompts. */
  #mixed = false;
  #meanCount = 0;
  #meanMs = 0;
  #meanSquare = 0;
  #meanProduct = 0;
  #slope = 0;

  /**
   * @param promptTokenMs the first guess, measured when the model was loaded
   * @param tileTokens see {@link PromptCost}
   */
  constructor(promptTokenMs: number, tileTokens = 1) {
    this.#prompt = new PromptCost(promptTokenMs, tileTokens);
  }

  /** What one more prompt token adds to a step, of the kind and at the depth of the latest prompts. */
  get promptTokenMs(): number {
    return this.#prompt.tokenMs;
  }

  /** What each token of a part of a prompt adds to a step. */
  promptTokenMsOf(part: PromptPart): number {
    return this.#prompt.tokenMsOf(part);
  }

  /** A step in which `generating` slots each get one token and no prompt is processed. */
  stepMs(generating: number): number {
    if (generating === 0) return 0;
    if (!this.#seen) return this.#prompt.tokenMs * generating;
    return Math.max(this.#meanMs + this.#slope * (generating - this.#meanCount), this.#meanMs * 0.1, 0);
  }

  /** What one more sequence that generates adds to a step: about a prompt token's cost, as long as nothing shows it. */
  get sequenceMs(): number {
    return this.#slope > 0 ? this.#slope : this.#prompt.tokenMs;
  }

  /** A step with these parts of prompts took `ms`. */
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
    const ofStep = generating === 0 ? 0 : off * this.#blame(stepMs, promptMs, generating);
    this.#prompt.observe(promptMs + off - ofStep, prompts);
    if (generating === 0) return;
    this.#mixed = true;
    this.#observeStep(Math.max(stepMs / OUTLIER, stepMs + ofStep), generating, WEIGHT);
  }

  /**
   * Of what a step with both was off, the share of those who generate: by how well both are known. As a crowd comes in there is
   * no step without prompts, and more generate with each: what the new ones cost must not be taken for a cost of prompts.
   */
  #blame(stepMs: number, promptMs: number, generating: number): number {
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
    // Where the number has not changed for long, what was known of its cost still holds.
    if (variance < MIN_VARIANCE) return;
    this.#slope = Math.max(0, (this.#meanProduct - this.#meanCount * this.#meanMs) / variance);
  }
}
