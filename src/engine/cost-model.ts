// Weight of one observation: a change of load shows within about ten steps, one hiccup hardly.
const WEIGHT = 0.15;
// A step that took this many times the expected one is a hiccup of the machine and counts as this many.
const OUTLIER = 4;

/**
 * Learns how long a step of the engine takes: a step of `g` generating slots without prompts as a line in `g`, and
 * what a prompt token adds. All times in milliseconds.
 */
export class CostModel {
  private promptMs: number;
  private seen = false;
  private meanCount = 0;
  private meanMs = 0;
  private meanSquare = 0;
  private meanProduct = 0;

  /** `promptTokenMs`: the first guess, measured when the model was loaded. */
  constructor(promptTokenMs: number) {
    this.promptMs = Math.max(promptTokenMs, 1e-4);
  }

  /** What one more prompt token adds to a step. */
  get promptTokenMs(): number {
    return this.promptMs;
  }

  /** A step in which `generating` slots each get one token and no prompt is processed. */
  stepMs(generating: number): number {
    if (generating === 0) return 0;
    if (!this.seen) return this.promptMs * generating;
    const variance = this.meanSquare - this.meanCount ** 2;
    const slope = variance > 0.05 ? (this.meanProduct - this.meanCount * this.meanMs) / variance : 0;
    const rise = Math.max(slope, 0);
    return Math.max(this.meanMs + rise * (generating - this.meanCount), this.meanMs * 0.1, 0);
  }

  observe(ms: number, generating: number, promptTokens: number): void {
    if (promptTokens > 0) this.observePrompt(ms - this.stepMs(generating), promptTokens);
    else if (generating > 0) this.observeStep(ms, generating);
  }

  private observePrompt(ms: number, tokens: number): void {
    const each = Math.max(ms / tokens, this.promptMs / OUTLIER);
    this.promptMs += WEIGHT * (Math.min(each, this.promptMs * OUTLIER) - this.promptMs);
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
