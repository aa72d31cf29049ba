import type { Clock } from "../../core/clock.ts";
import type { StreamPart } from "../provider.ts";

const LONGEST_SILENCE_MS = 1000;

/** Tells that a provider works although nothing can be shown: its model reasons, or its answer is checked as a whole. */
export class Keepalive {
  readonly #clock: Clock;
  readonly #part: StreamPart;
  #lastAt: number;

  /** @param promptTokens of the request; a prompt whose answer has begun is processed */
  constructor(clock: Clock, promptTokens: number) {
    this.#clock = clock;
    this.#part = { type: "progress", processed: promptTokens, total: promptTokens };
    this.#lastAt = clock.now();
  }

  /** Something was shown. */
  beat(): void {
    this.#lastAt = this.#clock.now();
  }

  /** To be called for what cannot be shown: a part once the silence has lasted a second, else null. */
  sign(): StreamPart | null {
    if (this.#clock.now() - this.#lastAt < LONGEST_SILENCE_MS) return null;
    this.beat();
    return this.#part;
  }
}
