import { fieldsOf, type JsonFields } from "../../core/json-fields.ts";
import { StopText } from "../../core/stop-text.ts";
import { ProviderError } from "../provider-error.ts";
import type { Usage } from "../provider.ts";
import type { RemoteNames } from "./fault-table.ts";
import { badAnswer } from "./http-errors.ts";
import { SurrogateJoiner } from "./surrogate-joiner.ts";

function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** A text, or the text parts of a list, as Mistral's models send it beside their reasoning. */
function contentOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map(fieldsOf)
    .map(({ type, text }) => (type === "text" && typeof text === "string" ? text : ""))
    .join("");
}

/** Finish reasons of OpenAI, vLLM, llama-server, TGI and others. What is not here is no sign of a whole answer. */
const reasons: Readonly<Record<string, "stop" | "length">> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  stop_sequence: "stop",
  end_turn: "stop",
  length: "length",
  max_tokens: "length",
};

/** Reads the chunks of one answer, of any shape a compatible server may send, and decides whether it is whole. */
export class AnswerReader {
  readonly #names: RemoteNames;
  readonly #stops: StopText;
  readonly #characters = new SurrogateJoiner();
  #reason: string | undefined;
  #stopped = false;
  #refused = false;
  #usage: JsonFields | undefined;

  constructor(names: RemoteNames, stopTexts: readonly string[]) {
    this.#names = names;
    this.#stops = new StopText(stopTexts);
  }

  /** A stop text of ours was met: the rest of the stream is not wanted. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The server said why it finished; at most the usage follows. */
  get finished(): boolean {
    return this.#reason !== undefined;
  }

  /** Takes a chunk; returns the text that it adds, often none. */
  push(chunk: unknown): string {
    const { choices, usage } = fieldsOf(chunk);
    if (usage) this.#usage = fieldsOf(usage);
    const choice = fieldsOf(Array.isArray(choices) ? choices[0] : undefined);
    // Some servers repeat the last chunk, text included.
    if (this.finished || this.#stopped) return "";
    const { content, refusal } = fieldsOf(choice["delta"]);
    if (typeof refusal === "string" && refusal !== "") this.#refused = true;
    const reason = choice["finish_reason"];
    if (typeof reason === "string" && reason !== "") this.#reason = reason;
    const piece = contentOf(content);
    if (piece === "") return "";
    const { text, stopped } = this.#stops.push(piece);
    this.#stopped = stopped;
    return this.#characters.push(text);
  }

  /** After the last chunk: the text that was still held back. */
  flush(): string {
    return this.#characters.push(this.#stopped ? "" : this.#stops.flush()) + this.#characters.flush();
  }

  /**
   * Why the answer ended.
   *
   * @throws ProviderError `bad_answer` when nothing says that it is whole; `content_refused`
   */
  finishReason(): "stop" | "length" {
    if (this.#refused || this.#reason === "content_filter") {
      const message = `The ${this.#names.provider} provider refused the content.`;
      throw new ProviderError(this.#names.provider, "content_refused", message);
    }
    if (this.#stopped) return "stop";
    if (this.#reason === undefined) throw badAnswer(this.#names, "the answer was cut short");
    const known = Object.hasOwn(reasons, this.#reason) ? reasons[this.#reason] : undefined;
    if (!known) throw badAnswer(this.#names, "the answer ended for a reason that no chat has");
    return known;
  }

  /** The server's own count, or the given estimates for what it left out; then `estimated` is set. */
  usage(promptTokens: number, completionTokens: number): Usage {
    const usage = this.#usage ?? {};
    const cached = countOf(fieldsOf(usage["prompt_tokens_details"])["cached_tokens"]) ?? 0;
    // Some servers send zeros for "not counted".
    const prompt = countOf(usage["prompt_tokens"]) || undefined;
    // A stream that a stop text of ours ended may hold a running count; ours is then not worse.
    const counted = this.#stopped ? undefined : countOf(usage["completion_tokens"]);
    const completion = counted === 0 && completionTokens > 0 ? undefined : counted;
    return {
      promptTokens: prompt ?? promptTokens,
      completionTokens: completion ?? completionTokens,
      cachedTokens: Math.min(cached, prompt ?? promptTokens),
      ...((prompt === undefined || completion === undefined) && { estimated: true }),
    };
  }
}
