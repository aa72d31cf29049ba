import { fieldsOf, type JsonFields } from "../../core/json-fields.ts";
import { StopText } from "../../core/stop-text.ts";
import { ProviderError } from "../provider-error.ts";
import type { Usage } from "../provider.ts";
import type { RemoteNames } from "./fault-table.ts";
import { badAnswer } from "./http-errors.ts";
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

/**
 * The text of `content`: a string, or the text parts of a list, which Mistral's models send together with reasoning.
 */
function contentOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map(fieldsOf)
    .map(({ type, text }) => (type === "text" && typeof text === "string" ? text : ""))
    .join("");
}

/** Finish reasons of OpenAI, vLLM, llama-server, TGI and others. Any other reason does not mark a whole answer. */
const reasons: Readonly<Record<string, "stop" | "length">> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  stop_sequence: "stop",
  end_turn: "stop",
  length: "length",
  max_tokens: "length",
};

/** Reads the chunks of one answer in all shapes that compatible servers send, and decides whether it is whole. */
export class AnswerReader {
  readonly #names: RemoteNames;
  readonly #stops: StopText;
  readonly #joiner = new SurrogateJoiner();
  /** The reasoning before the text. */
  readonly reasoning: ReasoningReader;
  #reason: string | undefined;
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

  /** Whether the server sent a finish reason. Only the usage may follow. */
  get finished(): boolean {
    return this.#reason !== undefined;
  }

  /** Adds a chunk. @returns its text, which is often empty */
  push(chunk: unknown): string {
    const { choices, usage } = fieldsOf(chunk);
    if (usage) this.#usage = fieldsOf(usage);
    const choice = fieldsOf(Array.isArray(choices) ? choices[0] : undefined);
    // Some servers repeat the last chunk, including its text.
    if (this.finished || this.#stopped) return "";
    const delta = fieldsOf(choice["delta"]);
    const { content, refusal } = delta;
    if (typeof refusal === "string" && refusal !== "") this.#refused = true;
    const reason = choice["finish_reason"];
    if (typeof reason === "string" && reason !== "") this.#reason = reason;
    const piece = this.reasoning.push(delta, contentOf(content));
    return piece === "" ? "" : this.#textOf(piece);
  }

  /** Text that is not part of a stop text. */
  #textOf(piece: string): string {
    const { text, stopped } = this.#stops.push(piece);
    this.#stopped = stopped;
    return this.#joiner.push(text);
  }

  /** Returns the held text after the last chunk. */
  flush(): string {
    const held = this.#stopped ? "" : this.reasoning.flush(this.#reasonOf() === "stop");
    const text = held === "" ? "" : this.#textOf(held);
    return text + this.#joiner.push(this.#stopped ? "" : this.#stops.flush()) + this.#joiner.flush();
  }

  /**
   * Why the answer ended.
   *
   * @throws ProviderError `bad_answer` if nothing shows that the answer is whole; `content_refused`
   */
  finishReason(): "stop" | "length" {
    if (this.#refused || this.#reason === "content_filter") {
      const message = `The ${this.#names.provider} provider refused the content.`;
      throw new ProviderError(this.#names.provider, "content_refused", message);
    }
    if (this.#stopped) return "stop";
    if (this.#reason === undefined) throw badAnswer(this.#names, "the answer was cut short");
    const known = this.#reasonOf();
    if (!known) throw badAnswer(this.#names, "the answer ended with an unknown finish reason");
    return known;
  }

  #reasonOf(): "stop" | "length" | undefined {
    return this.#reason !== undefined && Object.hasOwn(reasons, this.#reason)
      ? reasons[this.#reason]
      : undefined;
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
