import type { Drawn } from "./engine-port.ts";
import type { Generation } from "./generation.ts";
import type { Slot } from "./slot.ts";

/** What one slot does in a step of the loop. */
export interface Step {
  readonly slot: Slot;
  readonly generation: Generation;
  readonly promptTokens: number;
  /** Draws a token, after the prompt tokens if there are any. */
  readonly draws: boolean;
}

/** The end of a prompt draws the first token in the same step: a step of its own would come a whole step later. */
export function stepOf(slot: Slot, generation: Generation, promptTokens: number): Step {
  return { slot, generation, promptTokens, draws: promptTokens >= slot.remaining && !generation.background };
}

/** Of the prompt tokens of a step before it is done: the tokens before them, on average. */
export function meanDepth(steps: readonly Step[], promptTokens: number): number {
  if (promptTokens === 0) return 0;
  const sum = steps.reduce(
    (total, { slot, promptTokens: tokens }) => total + tokens * (slot.sequence.length + tokens / 2),
    0,
  );
  return sum / promptTokens;
}

/** @returns what was drawn; undefined where nothing is. */
export async function doStep(step: Step, guesses: readonly number[] = []): Promise<Drawn | undefined> {
  const { slot, generation, promptTokens, draws } = step;
  if (draws) return guesses.length > 0 ? slot.verify(generation, guesses) : slot.next(generation);
  await slot.prefill(generation, promptTokens);
  return undefined;
}
