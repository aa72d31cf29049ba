import type { Drawn } from "../ports.ts";
import type { RequestState } from "./request-state.ts";
import type { PromptPart } from "../estimates/prompt-cost.ts";
import type { Slot } from "./slot.ts";

/** What one slot does in a step of the loop. */
export interface Step {
  readonly slot: Slot;
  readonly request: RequestState;
  readonly promptTokens: number;
  /** Draws a token, after the prompt tokens if there are any. */
  readonly draws: boolean;
}

/** The end of a prompt draws the first token in the same step: a step of its own would come a whole step later. */
export function stepOf(slot: Slot, request: RequestState, promptTokens: number): Step {
  return { slot, request, promptTokens, draws: promptTokens >= slot.remaining && !request.background };
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
  const { slot, request, promptTokens, draws } = step;
  if (draws) return guesses.length > 0 ? slot.verify(request, guesses) : slot.next(request);
  await slot.prefill(request, promptTokens);
  return undefined;
}
