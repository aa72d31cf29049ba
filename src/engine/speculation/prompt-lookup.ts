import type { Drawn, PreparedRequest } from "../ports.ts";
import type { RequestState } from "../generation/request-state.ts";
import { GuessBudget } from "./guess-budget.ts";
import { NgramIndex } from "./ngram-index.ts";
import type { Step } from "../generation/step.ts";

/** More cost more than the few that are right to the end bring. */
export const MAX_GUESSES = 8;

const NONE: readonly number[] = [];

/**
 * Speculative decoding by prompt look-up: guesses that an answer goes on as its prompt or its own earlier text did after
 * the same tokens. The model checks all guesses in one step. Only for an answer that runs alone: a sequence with more
 * tokens than the others splits the common step. One index, for the answer that last ran alone.
 */
export class PromptLookup {
  /** Tokens guessed since the start. */
  guessed = 0;
  /** Of those, the ones that the model drew as well. */
  accepted = 0;
  readonly #index = new NgramIndex();
  readonly #budget = new GuessBudget();
  #request: RequestState | undefined;

  /** @returns what to try in this step; empty where no guess may be made, or none can. */
  guesses(steps: readonly Step[]): readonly number[] {
    const [step] = steps;
    if (!step || !isPlainLone(steps) || !mayGuess(step.request.prepared)) return NONE;
    const { request } = step;
    if (request !== this.#request) this.#begin(request);
    this.#index.push(request.tokens(this.#index.length));
    // The step gives one token by itself.
    const most = request.prepared.maxTokens - request.generatedTokens - 1;
    if (most <= 0 || !this.#budget.open) return NONE;
    return this.#index.continuation(Math.min(most, MAX_GUESSES));
  }

  /** What a step took and gave whose guesses were those. */
  observe(steps: readonly Step[], ms: number, guesses: number, drawn: Drawn | undefined): void {
    if (!drawn || !isPlainLone(steps)) return;
    if (guesses === 0) {
      this.#budget.plain(ms);
      return;
    }
    const tokens = drawn.tokens.length + (drawn.ended ? 1 : 0);
    this.#budget.guessed(ms, tokens);
    this.guessed += guesses;
    this.accepted += tokens - 1;
  }

  /** A request has left its slot: none of its text stays here. */
  left(request: RequestState): void {
    if (request !== this.#request) return;
    this.#request = undefined;
    this.#index.clear();
  }

  #begin(request: RequestState): void {
    this.#request = request;
    this.#index.clear();
    this.#budget.begin();
  }
}

/** One answer takes its next token, and nothing else happens. */
function isPlainLone(steps: readonly Step[]): boolean {
  const [step] = steps;
  return steps.length === 1 && step !== undefined && step.draws && step.promptTokens === 0;
}

/**
 * A grammar would have to be taken back with each wrong guess. Draws at random that are checked in one go use other
 * random numbers than draws one by one: just as random, but not those that a seed of the request promises.
 */
function mayGuess({ grammarState, sampling }: PreparedRequest): boolean {
  return grammarState === undefined && (sampling.temperature === 0 || !sampling.reproducible);
}
