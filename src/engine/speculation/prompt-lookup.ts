import type { Drawn, PreparedRequest } from "../ports.ts";
import type { RequestState } from "../generation/request-state.ts";
import { GuessBudget } from "./guess-budget.ts";
import { NgramIndex } from "./ngram-index.ts";
import type { Step } from "../generation/step.ts";

/** Guesses of one step. Longer ones are rarely right to the end, so they cost more than they save. */
export const MAX_GUESSES = 8;

const NONE: readonly number[] = [];

/**
 * Speculative decoding by prompt lookup. It guesses that an answer continues as its prompt or its own earlier text did
 * after the same tokens. The model checks all guesses in one step. It works only for an answer that runs alone, because
 * a sequence with more tokens than the others splits the common step. One index, for the answer that last ran alone.
 */
export class PromptLookup {
  /** Tokens guessed since the start. */
  guessed = 0;
  /** Of those, the tokens that the model drew as well. */
  accepted = 0;
  readonly #index = new NgramIndex();
  readonly #budget = new GuessBudget();
  #request: RequestState | undefined;

  /** @returns the guesses for this step; empty when none is allowed or none is found. */
  guesses(steps: readonly Step[]): readonly number[] {
    const [step] = steps;
    if (!step || !isSinglePlainDraw(steps) || !mayGuess(step.request.prepared)) return NONE;
    const { request } = step;
    if (request !== this.#request) this.#startAnswer(request);
    this.#index.push(request.tokens(this.#index.length));
    // The step yields one token without any guess.
    const limit = request.prepared.maxTokens - request.generatedTokens - 1;
    if (limit <= 0 || !this.#budget.open) return NONE;
    return this.#index.continuation(Math.min(limit, MAX_GUESSES));
  }

  /** Records the duration and the result of a step with this number of guesses. */
  observe(steps: readonly Step[], ms: number, guesses: number, drawn: Drawn | undefined): void {
    if (!drawn || !isSinglePlainDraw(steps)) return;
    if (guesses === 0) {
      this.#budget.addPlainStep(ms);
      return;
    }
    const tokens = drawn.tokens.length + (drawn.ended ? 1 : 0);
    this.#budget.addGuessStep(ms, tokens);
    this.guessed += guesses;
    this.accepted += tokens - 1;
  }

  /** Clears the index when its request has left the slot, so that none of its text stays in memory. */
  released(request: RequestState): void {
    if (request !== this.#request) return;
    this.#request = undefined;
    this.#index.clear();
  }

  #startAnswer(request: RequestState): void {
    this.#request = request;
    this.#index.clear();
    this.#budget.startAnswer();
  }
}

/** Whether the step draws one token of one answer and does nothing else. */
function isSinglePlainDraw(steps: readonly Step[]): boolean {
  const [step] = steps;
  return steps.length === 1 && step !== undefined && step.draws && step.promptTokens === 0;
}

/**
 * Whether guesses are allowed for a request. A grammar is excluded, because its state would have to be rolled back with
 * each wrong guess. A seed set by the request is excluded, because a check of several tokens uses other random numbers
 * than single steps and would change the answer.
 */
function mayGuess({ grammarState, sampling }: PreparedRequest): boolean {
  return grammarState === undefined && (sampling.temperature === 0 || !sampling.reproducible);
}
