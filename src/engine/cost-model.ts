// Weight of one observation: a change of load shows within about ten steps, one hiccup hardly.
const WEIGHT = 0.15;
// A step that took this many times the expected one is a hiccup of the machine and counts as this many.
const OUTLIER = 4;

// Below this spread of depths, in tokens, a difference of cost says nothing about depth.
const LEAST_DEPTH_SPREAD = 32;
// Of the mean cost: no line is followed below this.
const LEAST_SHARE = 0.25;

/**
 * Learns how long a step of the engine takes: a step of `g` generating slots without prompts as a line in `g`, and
 * what a prompt token adds as a line in its depth, the tokens before it that it attends to. All times in milliseconds.
 */
export class CostModel {
  private promptMs: number;
  private meanDepth = 0;
  private depthSquare = 0;
  private depthProduct = 0;
  private depthSlope = 0;
  private seen = false;
  private meanCount = 0;
  private meanMs = 0;
  private meanSquare = 0;
  private meanProduct = 0;

  /** `promptTokenMs`: the first guess, measured when the model was loaded. */
  constructor(promptTokenMs: number) {
    this.promptMs = Math.max(promptTokenMs, 1e-4);
  }

  /** What one more prompt token adds to a step, at the depth of the latest prompts. */
  get promptTokenMs(): number {
    return this.promptMs;
  }

  /** What one more prompt token adds to a step with `depth` tokens before it. */
  promptTokenMsAt(depth: number): number {
    const ms = this.promptMs + this.depthSlope * (depth - this.meanDepth);
    return Math.max(ms, this.promptMs * LEAST_SHARE);
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

  /** @param depth tokens before the prompt tokens of the step, on average */
  observe(ms: number, generating: number, promptTokens: number, depth: number): void {
    if (promptTokens > 0) this.observePrompt(ms - this.stepMs(generating), promptTokens, depth);
    else if (generating > 0) this.observeStep(ms, generating);
  }

  private observePrompt(ms: number, tokens: number, depth: number): void {
    const expected = this.promptTokenMsAt(depth);
    const each = Math.min(Math.max(ms / tokens, expected / OUTLIER), expected * OUTLIER);
    this.promptMs += WEIGHT * (each - this.promptMs);
    this.meanDepth += WEIGHT * (depth - this.meanDepth);
    this.depthSquare += WEIGHT * (depth ** 2 - this.depthSquare);
    this.depthProduct += WEIGHT * (depth * each - this.depthProduct);
    const variance = this.depthSquare - this.meanDepth ** 2;
    if (variance < LEAST_DEPTH_SPREAD ** 2) return;
    this.depthSlope = Math.max(0, (this.depthProduct - this.meanDepth * this.promptMs) / variance);
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
