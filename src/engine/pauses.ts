/** Of a step with a short prompt, and of all steps while several crowd, prompts get at least this share of the time. */
export const PROMPT_SHARE = 2 / 3;

/** Two short prompts at a time are not a crowd; more are, until the last of them is done. */
const FEW_PROMPTS = 2;

/** A prompt that takes longer by itself is a long one: who sends it expects to wait. */
const SHORT_MS = 1000;

/** How many prompts are short, of so many tokens that each take so long. */
export function shortPrompts(remaining: readonly number[], tokenMs: number): number {
  return remaining.filter((tokens) => tokens * tokenMs <= SHORT_MS).length;
}

/**
 * Where a step of those who generate takes most of the longest one by itself (many slots, a slow machine), little of it is left
 * for prompts, and those who wait for their first token would wait without end. While short prompts crowd, those who generate leave out as
 * many steps as keep them within their share of the time. Pure; times in milliseconds.
 */
export class Pauses {
  private crowd = false;
  /** What those who generate have had beyond their share, since prompts crowd. */
  private aheadMs = 0;

  /** Whether those who generate leave out the next step, beside so many short prompts. */
  due(generating: number, prompts: number): boolean {
    return generating > 0 && this.isCrowd(prompts) && this.aheadMs > 0;
  }

  /** A step beside so many short prompts took `ms`, about `generatingMs` of it for those who generate. */
  step(ms: number, generatingMs: number, prompts: number): void {
    this.crowd = this.isCrowd(prompts);
    const ahead = this.aheadMs + generatingMs / (1 - PROMPT_SHARE) - ms;
    // What they have left out beyond a step is not given back.
    this.aheadMs = this.crowd ? Math.max(-ms, ahead) : 0;
  }

  private isCrowd(prompts: number): boolean {
    return prompts > FEW_PROMPTS || (this.crowd && prompts > 0);
  }
}
