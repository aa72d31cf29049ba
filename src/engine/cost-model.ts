import { OUTLIER, WEIGHT } from "./observation.ts";
import { PromptCost, type PromptPart } from "./prompt-cost.ts";

/**
 * Learns how long a step of the engine takes: a step of `g` generating slots without prompts as a line in `g`, and what
 * prompt tokens add ({@link PromptCost}). All times in milliseconds.
 */
export class CostModel {
  private readonly prompt: PromptCost;
  private seen = false;
  private meanCount = 0;
  private meanMs = 0;
  private meanSquare = 0;
  private meanProduct = 0;

  /**
   * @param promptTokenMs the first guess, measured when the model was loaded
   * @param tileTokens see {@link PromptCost}
   */
  constructor(promptTokenMs: number, tileTokens = 1) {
    this.prompt = new PromptCost(promptTokenMs, tileTokens);
  }

  /** What one more prompt token adds to a step, of the kind and at the depth of the latest prompts. */
  get promptTokenMs(): number {
    return this.prompt.tokenMs;
  }

  /** What each token of a part of a prompt adds to a step. */
  promptTokenMsOf(part: PromptPart): number {
    return this.prompt.tokenMsOf(part);
  }

  /** A step in which `generating` slots each get one token and no prompt is processed. */
  stepMs(generating: number): number {
    if (generating === 0) return 0;
    if (!this.seen) return this.prompt.tokenMs * generating;
    const variance = this.meanSquare - this.meanCount ** 2;
    const slope = variance > 0.05 ? (this.meanProduct - this.meanCount * this.meanMs) / variance : 0;
    const rise = Math.max(slope, 0);
    return Math.max(this.meanMs + rise * (generating - this.meanCount), this.meanMs * 0.1, 0);
  }

  /** A step with these parts of prompts took `ms`. */
  observe(ms: number, generating: number, prompts: readonly PromptPart[]): void {
    if (prompts.length > 0) this.prompt.observe(ms - this.stepMs(generating), prompts);
    else if (generating > 0) this.observeStep(ms, generating);
  }

  private observeStep(ms: number, generating: number): void {
    const bounded = this.seen ? Math.min(ms, this.stepMs(generating) * OUTLIER) : ms;
    const weight = this.seen ? WEIGHT : 1;
    this.seen = true;
    this.meanCount += weight * (generating - this.meanCount);
    this.meanMs += weight * (bounded - this.meanMs);
    this.meanSquare += weight * (generating ** 2 - this.meanSquare);
    this.meanProduct += weight * (generating * bounded - this.meanProduct);
  }
}
