import type { Clock } from "../../core/clock.ts";
import type { StreamPart } from "../provider.ts";

/** Milliseconds without a visible part after which a keepalive is due. */
const MAX_SILENCE_MS = 1000;

/** Produces progress parts while a provider works without visible text: it reasons, or its JSON is not complete yet. */
export class Keepalive {
  readonly #clock: Clock;
  readonly #promptTokens: number;
  #lastAt: number;

  /** @param promptTokens tokens of the prompt, reported as fully processed because the answer has begun */
  constructor(clock: Clock, promptTokens: number) {
    this.#clock = clock;
    this.#promptTokens = promptTokens;
    this.#lastAt = clock.now();
  }

  /** Reports that visible text was emitted. */
  beat(): void {
    this.#lastAt = this.#clock.now();
  }

  /** Call on each chunk without visible text. @returns a part if none was emitted for a second, otherwise null */
  sign(): StreamPart | null {
    if (this.#clock.now() - this.#lastAt < MAX_SILENCE_MS) return null;
    this.beat();
    // A new object each time: a status that was sent before is not sent again.
    return { type: "progress", processed: this.#promptTokens, total: this.#promptTokens };
  }
}
