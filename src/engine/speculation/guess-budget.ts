import { OUTLIER, WEIGHT } from "../estimates/observation.ts";

/** Share of the time of plain steps that guesses may lose. */
const LOSS_SHARE = 0.01;
/** Balance granted at the start of an answer, in plain steps. */
const INITIAL_STEPS = 1;
/** Upper bound of the balance, in plain steps. */
const MAX_STEPS = 8;

/**
 * Limits the time that wrong guesses may cost, with a balance in milliseconds. A step with guesses adds the time it
 * gained against plain steps, or subtracts the time it lost. A plain step adds one per cent of its time. Guesses are
 * allowed while the balance is positive, so useless ones cost about one per cent and are tried again now and then.
 * Pure.
 */
export class GuessBudget {
  #plainMs: number | undefined;
  #balance = 0;

  /** Whether guesses are allowed now. */
  get open(): boolean {
    return this.#plainMs !== undefined && this.#balance > 0;
  }

  /** Grants a new answer an initial balance: guesses may pay off for it even if they did not for the last one. */
  startAnswer(): void {
    this.#balance = Math.max(this.#balance, INITIAL_STEPS * (this.#plainMs ?? 0));
  }

  /** Records a step without guesses, which gave the only running answer one token. */
  addPlainStep(ms: number): void {
    if (this.#plainMs === undefined) {
      this.#plainMs = ms;
      this.startAnswer();
      return;
    }
    this.#plainMs += WEIGHT * (Math.min(ms, this.#plainMs * OUTLIER) - this.#plainMs);
    this.#add(LOSS_SHARE * this.#plainMs);
  }

  /** Records a step with guesses, which gave the answer `tokens` tokens. */
  addGuessStep(ms: number, tokens: number): void {
    const plainMs = this.#plainMs ?? 0;
    const maxMs = plainMs * (tokens + OUTLIER);
    this.#add(tokens * plainMs - Math.min(ms, maxMs));
  }

  #add(ms: number): void {
    this.#balance = Math.min(this.#balance + ms, MAX_STEPS * (this.#plainMs ?? 0));
  }
}
