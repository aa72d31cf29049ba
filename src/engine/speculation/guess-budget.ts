import { OUTLIER, WEIGHT } from "../estimates/observation.ts";

// Of the time of steps without guesses, what guesses may lose.
const SHARE = 0.01;
// In plain steps: what an answer may lose at its beginning, and the most that can be saved up.
const FIRST = 1;
const MOST = 8;

/**
 * Lets guesses live off the time they save: what a step with guesses gained or lost against plain steps goes to an
 * account, plain steps add a hundredth of their time, and there are guesses only while it is over zero. So guesses that
 * do not pay cost about one per cent, and are tried again now and then. Times in milliseconds. Pure.
 */
export class GuessBudget {
  #plainMs: number | undefined;
  #balance = 0;

  /** Whether guesses may be tried. */
  get open(): boolean {
    return this.#plainMs !== undefined && this.#balance > 0;
  }

  /** Another answer begins: what did not pay for the last one may pay for it. */
  begin(): void {
    this.#balance = Math.max(this.#balance, FIRST * (this.#plainMs ?? 0));
  }

  /** A step without guesses gave the only running answer a token. */
  plain(ms: number): void {
    if (this.#plainMs === undefined) {
      this.#plainMs = ms;
      this.begin();
      return;
    }
    this.#plainMs += WEIGHT * (Math.min(ms, this.#plainMs * OUTLIER) - this.#plainMs);
    this.#add(SHARE * this.#plainMs);
  }

  /** A step with guesses gave it so many tokens. */
  guessed(ms: number, tokens: number): void {
    const plainMs = this.#plainMs ?? 0;
    const longest = plainMs * (tokens + OUTLIER);
    this.#add(tokens * plainMs - Math.min(ms, longest));
  }

  #add(ms: number): void {
    this.#balance = Math.min(this.#balance + ms, MOST * (this.#plainMs ?? 0));
  }
}
