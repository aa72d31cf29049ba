import { fieldsOf, type JsonFields } from "../../../core/json-fields.ts";
import { StopText } from "../../../core/stop-text.ts";
import { ProviderError } from "../../provider-error.ts";
import type { Usage } from "../../provider.ts";
import type { RemoteNames } from "../fault-table.ts";
import { badAnswer } from "../http-errors.ts";
import { meaningOf } from "./finish-reasons.ts";
import { ReasoningReader } from "./reasoning-reader.ts";
import { SurrogateJoiner } from "./surrogate-joiner.ts";

/** More tokens than any model's window holds. A larger count is a fault of the server, not a measurement. */
const MAX_TOKENS = 100_000_000;

/** A count of tokens as reported by a server; undefined for anything that cannot be one. */
function countOf(value: unknown): number | undefined {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS
    ? (value as number)
    : undefined;
}

/** Types of the parts of a content list that hold text of the answer. */
const TEXT_TYPES: readonly unknown[] = ["text", "output_text", undefined];

/**
 * The text of `content`: a string, or the text parts of a list, which Mistral's models send together with reasoning.
 */
function contentOf(content: unknown): string {
  if (typeof content === "string") return content;
  return (Array.isArray(content) ? content : [content])
    .map(fieldsOf)
    .map(({ type, text }) => (TEXT_TYPES.includes(type) && typeof text === "string" ? text : ""))
    .join("");
}

/** The finish reason of a choice by the name that the server uses; undefined if the answer has not ended. */
function reasonOf(choice: JsonFields): string | undefined {
  const given = choice["finish_reason"] ?? choice["finishReason"] ?? choice["done_reason"];
  const { type, reason } = fieldsOf(given);
  const word = [given, type, reason].find((value) => typeof value === "string");
  return typeof word === "string" && meaningOf(word) !== "none" ? word : undefined;
}

/** Reads the chunks of one answer in all shapes that compatible servers send, and decides whether it is whole. */
export class AnswerReader {
  readonly #names: RemoteNames;
  readonly #stops: StopText;
  readonly #joiner = new SurrogateJoiner();
  /** The reasoning before the text. */
  readonly reasoning: ReasoningReader;
  #reason: string | undefined;
  /** The last text, to recognize a last chunk that is sent twice. */
  #piece = "";
  /** All text so far of a server that sends `message` in place of `delta`. */
  #messages = "";
  #stopped = false;
  #refused = false;
  #usage: JsonFields | undefined;

  /** @param opening see {@link ReasoningReader} */
  constructor(names: RemoteNames, stopTexts: readonly string[], opening = "") {
    this.#names = names;
    this.reasoning = new ReasoningReader(opening);
    this.#stops = new StopText(stopTexts);
  }

  /** Whether a stop text of the request was found. The rest of the stream is not needed. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whether the server sent a finish reason, which may be early: some servers send one before the text. */
  get hasReason(): boolean {
    return this.#reason !== undefined;
  }

  /** Whether the server sent text and a finish reason. As a rule, only the usage follows. */
  get finished(): boolean {
    return this.hasReason && this.#piece !== "";
  }

  /** Adds a chunk. @returns its text, which is often empty */
  push(chunk: unknown): string {
    const { choices, usage } = fieldsOf(chunk);
    if (usage) this.#usage = fieldsOf(usage);
    const choice = fieldsOf(Array.isArray(choices) ? choices[0] : undefined);
    if (this.#stopped) return "";
    const fields = fieldsOf(choice["delta"] ?? choice["message"]);
    const { refusal } = fields;
    if (typeof refusal === "string" && refusal !== "") this.#refused = true;
    const reason = reasonOf(choice);
    // A `message` repeats the reasoning of those before it.
    const repeatsReasoning = choice["delta"] === undefined && this.#messages !== "";
    const piece = this.#pieceOf(choice);
    // Some servers repeat the last chunk, including its text.
    const isRepeated = this.finished && reason !== undefined && piece === this.#piece;
    this.#reason = reason ?? this.#reason;
    if (isRepeated) return "";
    if (piece !== "") this.#piece = piece;
    const text = this.reasoning.push(repeatsReasoning ? {} : fields, piece);
    return text === "" ? "" : this.#textOf(text);
  }

  /** Text that is not part of a stop text. */
  #textOf(piece: string): string {
    const { text, stopped } = this.#stops.push(piece);
    this.#stopped = stopped;
    return this.#joiner.push(text);
  }

  /**
   * The new text of a choice. `message` is the whole text so far as a rule, but some servers send pieces in it; after
   * deltas it repeats what they held.
   */
  #pieceOf(choice: JsonFields): string {
    const { delta, message, text } = choice;
    if (fieldsOf(delta)["content"] !== undefined) return contentOf(fieldsOf(delta)["content"]);
    if (message === undefined) return typeof text === "string" ? text : "";
    const whole = contentOf(fieldsOf(message)["content"]);
    if (this.#messages === "" && this.#piece !== "") return "";
    const piece = whole.startsWith(this.#messages) ? whole.slice(this.#messages.length) : whole;
    this.#messages += piece;
    return piece;
  }

  /** Returns the held text after the last chunk. */
  flush(): string {
    const held = this.#stopped
      ? ""
      : this.reasoning.flush(this.#reason !== undefined && meaningOf(this.#reason) === "stop");
    const text = held === "" ? "" : this.#textOf(held);
    return text + this.#joiner.push(this.#stopped ? "" : this.#stops.flush()) + this.#joiner.flush();
  }

  /**
   * Why the answer ended.
   *
   * @throws ProviderError `bad_answer` if nothing shows that the answer is whole; `content_refused`
   */
  finishReason(): "stop" | "length" {
    const meaning = this.#reason === undefined ? "none" : meaningOf(this.#reason);
    if (this.#refused || meaning === "content_filter") {
      const message = `The ${this.#names.provider} provider refused the content.`;
      throw new ProviderError(this.#names.provider, "content_refused", message);
    }
    if (this.#stopped || meaning === "stop") return "stop";
    if (meaning === "length") return "length";
    if (meaning === "none") throw badAnswer(this.#names, "the answer was cut short");
    if (meaning === "failed") throw badAnswer(this.#names, "the server broke the answer off");
    // A word of a server that is not known here. It shows an end, but not that there is nothing to answer.
    if (this.#piece === "") throw badAnswer(this.#names, "the answer ended with an unknown finish reason");
    return "stop";
  }

  /** The usage counted by the server. Missing counts are replaced by the given estimates, and `estimated` is set. */
  usage(promptTokens: number, completionTokens: number, reasoningTokens = 0): Usage {
    const usage = this.#usage ?? {};
    const cached = countOf(fieldsOf(usage["prompt_tokens_details"])["cached_tokens"]) ?? 0;
    // Some servers send zero for "not counted".
    const prompt = countOf(usage["prompt_tokens"]) || undefined;
    // If a stop text ended the stream, the server sent at most a running count, which is no better than the estimate.
    const counted = this.#stopped ? undefined : countOf(usage["completion_tokens"]);
    const completion = counted === 0 && completionTokens > 0 ? undefined : counted;
    const reasoning =
      countOf(fieldsOf(usage["completion_tokens_details"])["reasoning_tokens"]) ||
      countOf(usage["reasoning_tokens"]) ||
      reasoningTokens;
    return {
      promptTokens: prompt ?? promptTokens,
      completionTokens: completion ?? completionTokens,
      cachedTokens: Math.min(cached, prompt ?? promptTokens),
      ...(reasoning > 0 && { reasoningTokens: Math.min(reasoning, completion ?? completionTokens) }),
      ...((prompt === undefined || completion === undefined) && { estimated: true }),
    };
  }
}
