/**
 * Models whose own chat template opens the reasoning, so that their output only has its end. A server that does not
 * separate the reasoning, such as vLLM without a reasoning parser, sends it as text without a beginning.
 */
const openingModels: readonly (readonly [name: RegExp, opening: string])[] = [
  [/exaone.*deep/i, "<thought>"],
  [/deepseek.*r1|(^|\W)qwq|thinking|minimax-?m[12]/i, "<think>"],
];

/** Number of answers without the expected reasoning after which a server counts as one that separates it. */
const MAX_MISSES = 3;

/** What is known of the reasoning of one server's model: whether its answers begin within it. */
export class ReasoningHabit {
  readonly #opening: string;
  #seen = false;
  #misses = 0;

  /** @param model its name at the server */
  constructor(model: string) {
    this.#opening = openingModels.find(([name]) => name.test(model))?.[1] ?? "";
  }

  /** What an answer is expected to begin after, such as `<think>`; empty if it begins outside of any reasoning. */
  get opening(): string {
    return this.#seen || this.#misses < MAX_MISSES ? this.#opening : "";
  }

  /** @param opened whether a whole answer began with the expected reasoning; undefined: it did not show */
  record(opened: boolean | undefined): void {
    if (opened === true) this.#seen = true;
    else if (opened === false) this.#misses++;
  }
}
