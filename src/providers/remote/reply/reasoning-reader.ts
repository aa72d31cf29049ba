import type { JsonFields } from "../../../core/json-fields.ts";
import { ReasoningSplitter } from "../../../core/reasoning/reasoning-splitter.ts";
import { reasoningOf } from "./reasoning-fields.ts";
import { SurrogateJoiner } from "./surrogate-joiner.ts";

/** Separates the reasoning of one remote answer from its text: that in fields of its own and that in the text. */
export class ReasoningReader {
  readonly #joiner = new SurrogateJoiner();
  #splitter: ReasoningSplitter;
  /** Text taken for reasoning because the server's template is expected to open it; null if that is certain, or not. */
  #assumed: string | null;
  #closed = false;
  #repeats = false;
  /** Reasoning that was not taken yet. */
  #pending = "";

  /** @param opening with what the server's template is expected to open the reasoning; empty if it does not */
  constructor(opening: string) {
    this.#splitter = new ReasoningSplitter(opening);
    this.#assumed = opening === "" ? null : "";
  }

  /**
   * Whether the expected reasoning was found: true when its end was read, false when the text was an answer after all.
   * Undefined if nothing was expected, or the answer was too short to tell.
   */
  get opened(): boolean | undefined {
    return this.#assumed === null ? (this.#closed ? true : undefined) : false;
  }

  /** Whether {@link flush} returned reasoning again, as the answer. Its tokens are counted already. */
  get repeats(): boolean {
    return this.#repeats || this.#splitter.repeats;
  }

  /** Adds a delta. @param content the text of its content. @returns the part of the text that belongs to the answer */
  push(delta: JsonFields, content: string): string {
    const reasoning = reasoningOf(delta);
    this.#pending += reasoning;
    // A server that separates the reasoning itself leaves none in the text.
    if (reasoning !== "" && this.#assumed === "") this.#expectNothing();
    if (content === "" || this.#splitter.plain) return content;
    return this.#split(this.#splitter.push(content));
  }

  /**
   * Returns held text after the last delta.
   *
   * @param whole whether the model ended the answer by itself. Reasoning that was only expected and has no end is then
   *   the answer.
   */
  flush(whole: boolean): string {
    const text = this.#split(this.#splitter.flush());
    if (this.#assumed === null || !whole) {
      this.#assumed = null;
      return text;
    }
    this.#repeats = true;
    return this.#assumed;
  }

  /** The reasoning since the last call. */
  take(): string {
    if (this.#pending === "") return "";
    const reasoning = this.#joiner.push(this.#pending);
    this.#pending = "";
    return reasoning;
  }

  #split({ reasoning, text }: { readonly reasoning: string; readonly text: string }): string {
    this.#pending += reasoning;
    if (this.#assumed === null) return text;
    if (this.#splitter.reasons) {
      this.#assumed += reasoning;
    } else {
      this.#assumed = null;
      this.#closed = true;
    }
    return text;
  }

  #expectNothing(): void {
    this.#splitter = new ReasoningSplitter();
    this.#assumed = null;
  }
}
