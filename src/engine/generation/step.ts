import type { Drawn } from "../ports.ts";
import type { RequestState } from "./request-state.ts";
import type { PromptPart } from "../estimates/prompt-cost.ts";
import type { Slot } from "./slot.ts";

/** Work of one slot in a step of the loop. */
export interface Step {
  readonly slot: Slot;
  readonly request: RequestState;
  readonly promptTokens: number;
  /** Whether a token is drawn after the prompt tokens. */
  readonly draws: boolean;
}

/** Creates a step. The end of a prompt draws the first token in the same step, which saves the answer one step. */
export function stepOf(slot: Slot, request: RequestState, promptTokens: number): Step {
  return { slot, request, promptTokens, draws: promptTokens >= slot.remaining && !request.background };
}

/** The prompt tokens that the steps are about to process. */
export function promptParts(steps: readonly Step[]): PromptPart[] {
  return steps
    .filter(({ promptTokens }) => promptTokens > 0)
    .map(({ slot, promptTokens, draws }) => ({
      tokens: promptTokens + (draws ? 1 : 0),
      depth: slot.sequence.length,
    }));
}

/** Runs a step. @returns the drawn tokens; undefined for a step that draws none. */
export async function doStep(step: Step, guesses: readonly number[] = []): Promise<Drawn | undefined> {
  const { slot, request, promptTokens, draws } = step;
  if (draws) return guesses.length > 0 ? slot.verify(request, guesses) : slot.next(request);
  await slot.prefill(request, promptTokens);
  return undefined;
}
