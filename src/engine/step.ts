import type { Drawn } from "./engine-port.ts";
import type { Generation } from "./generation.ts";
import type { PromptPart } from "./prompt-cost.ts";
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

/** What steps that are not done yet will process of prompts. */
export function promptParts(steps: readonly Step[]): PromptPart[] {
  return steps
    .filter(({ promptTokens }) => promptTokens > 0)
    .map(({ slot, promptTokens, draws }) => ({
      tokens: promptTokens + (draws ? 1 : 0),
      depth: slot.sequence.length,
    }));
}

/** @returns what was drawn; undefined where nothing is. */
export async function doStep(step: Step, guesses: readonly number[] = []): Promise<Drawn | undefined> {
  const { slot, generation, promptTokens, draws } = step;
  if (draws) return guesses.length > 0 ? slot.verify(generation, guesses) : slot.next(generation);
  await slot.prefill(generation, promptTokens);
  return undefined;
}
