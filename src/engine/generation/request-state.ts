import type { RequestEvents } from "../../engine-wire/requests.ts";
import type { PreparedRequest } from "../ports.ts";
import type { QueuedJob } from "../scheduling/fair-queue.ts";
import { ReasoningSplitter } from "../../core/reasoning/reasoning-splitter.ts";
import { StopText } from "../../core/stop-text.ts";
import { WholeCharacters, type Detokenize, type WholeText } from "./whole-characters.ts";

/** Length of the window of the repeat penalty, in tokens. */
const RECENT_TOKENS = 64;

/** State of one request from the queue to its last token: its tokens, its text and its end. */
export class RequestState implements QueuedJob {
  readonly prepared: PreparedRequest;
  readonly events: RequestEvents;
  /** Time of arrival at the loop, in milliseconds. */
  readonly arrivedAt: number;
  /** Estimate of the prompt tokens left to process, while the request waits. */
  promptTokens: number;
  /** Tokens of prompt and answer that are accounted for: charged, or free because they were cached. */
  paidTokens = 0;
  /** Whether the request has ever had a slot. A preempted request has lost it again. */
  started = false;
  /** Set by a cancel; the loop acts on it between steps. */
  cancelled = false;
  /** The last reported position in the queue; 0: none is reported yet. */
  reportedPosition = 0;
  /** Time of that report, in milliseconds. */
  reportedAt = Number.NEGATIVE_INFINITY;
  /** First estimate of the wait, and the time between two tokens it was computed with, in milliseconds. */
  firstEta: { readonly waitMs: number; readonly intervalMs: number } | undefined;
  cachedTokens = 0;
  readonly #generated: number[] = [];
  readonly #characters: WholeCharacters;
  readonly #stopText: StopText;
  /** Null once everything that follows is part of the answer. */
  #splitter: ReasoningSplitter | null;
  #reasoningTokens = 0;
  #heldTokens = 0;
  #heldSpace = "";

  constructor(request: PreparedRequest, events: RequestEvents, detokenize: Detokenize, arrivedAt = 0) {
    this.prepared = request;
    this.events = events;
    this.arrivedAt = arrivedAt;
    this.promptTokens = request.tokens.length;
    this.#characters = new WholeCharacters(detokenize, request.continues === true ? request.tokens : []);
    this.#stopText = new StopText(request.stop);
    this.#splitter = request.promptEnd === undefined ? null : new ReasoningSplitter(request.promptEnd);
  }

  get accountKey(): string {
    return this.prepared.accountKey;
  }

  get client(): string {
    return this.prepared.client;
  }

  get weight(): number {
    return this.prepared.weight;
  }

  get background(): boolean {
    return this.prepared.background;
  }

  /** Tokens of prompt and answer so far. */
  get length(): number {
    return this.prepared.tokens.length + this.#generated.length;
  }

  get generatedTokens(): number {
    return this.#generated.length;
  }

  /** Tokens of prompt and answer from `from` to `end`. */
  tokens(from = 0, end = this.length): number[] {
    const prompt = this.prepared.tokens;
    if (end <= prompt.length) return prompt.slice(from, end);
    const answer = this.#generated.slice(Math.max(0, from - prompt.length), end - prompt.length);
    return from < prompt.length ? [...prompt.slice(from), ...answer] : answer;
  }

  /** The latest token of the answer; undefined before the first one. */
  get lastToken(): number | undefined {
    return this.#generated.at(-1);
  }

  /** The latest tokens of the answer, for the repeat penalty. */
  recentTokens(): readonly number[] {
    return this.#generated.slice(-RECENT_TOKENS);
  }

  /** Takes a drawn token. @returns whether the answer has ended; `finished` is then already emitted. */
  accept(token: number): boolean {
    if (this.prepared.stopTokens.has(token)) return this.end();
    this.#generated.push(token);
    if (this.#emit(this.#characters.push(token))) return this.#finish("stop");
    if (this.#generated.length < this.prepared.maxTokens) return false;
    return this.#finish(this.#flush() ? "stop" : "length");
  }

  /** Ends the answer because the model ended it. */
  end(): true {
    this.#flush();
    return this.#finish("stop");
  }

  /** Ends a background job. */
  finishBackground(): void {
    this.#finish("stop");
  }

  /** Emits all held text. @returns whether a stop text was found in it */
  #flush(): boolean {
    if (this.#emit(this.#characters.flush())) return true;
    if (this.#splitter !== null) {
      const { reasoning, text } = this.#splitter.flush();
      this.#sendReasoning(reasoning);
      // It was the answer.
      if (this.#splitter.repeats) this.#reasoningTokens = 0;
      if (text !== "" && this.#emitText(text, 0)) return true;
    }
    this.#send(this.#stopText.flush(), 0);
    return false;
  }

  /** @returns whether a stop text was found */
  #emit({ text, tokens }: WholeText): boolean {
    if (text === "") return false;
    return this.#splitter === null ? this.#emitText(text, tokens) : this.#split(this.#splitter, text, tokens);
  }

  #split(splitter: ReasoningSplitter, output: string, tokens: number): boolean {
    const { reasoning, text } = splitter.push(output);
    if (splitter.plain) this.#splitter = null;
    this.#heldTokens += tokens;
    this.#sendReasoning(reasoning);
    return text !== "" && this.#emitText(text, 0);
  }

  #emitText(piece: string, tokens: number): boolean {
    const { text, stopped } = this.#stopText.push(piece);
    this.#send(text, tokens);
    return stopped;
  }

  #sendReasoning(text: string): void {
    if (text === "") return;
    this.#reasoningTokens += this.#heldTokens;
    this.events.reasoning(text, this.#heldTokens);
    this.#heldTokens = 0;
  }

  #send(text: string, tokens: number): void {
    this.#heldTokens += tokens;
    let whole = this.#heldSpace + text;
    if (this.prepared.trimEnd) {
      const kept = whole.trimEnd();
      this.#heldSpace = whole.slice(kept.length);
      whole = kept;
    }
    if (whole === "") return;
    this.events.delta(whole, this.#heldTokens);
    this.#heldTokens = 0;
  }

  #finish(reason: "stop" | "length"): true {
    this.events.finished(reason, {
      promptTokens: this.prepared.tokens.length,
      completionTokens: this.#generated.length,
      cachedTokens: this.cachedTokens,
      ...(this.#reasoningTokens > 0 && { reasoningTokens: this.#reasoningTokens }),
    });
    return true;
  }
}
