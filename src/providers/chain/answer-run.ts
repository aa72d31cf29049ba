import type { ServiceError } from "../../core/errors.ts";
import type {
  AnswerPart,
  ChatProvider,
  ChatRequest,
  FallbackPart,
  StreamOptions,
  StreamPart,
  Usage,
} from "../provider.ts";
import type { ChainMember } from "./chain-member.ts";
import { AnswerTime } from "./deadlines.ts";
import { combinedError, type Failure } from "./failures.ts";
import { OverlapGate, WholeGate, type Piece, type TextGate } from "./text-gates.ts";
import type { StopSignal } from "../../core/stop-signal.ts";

/** Crash score of a request that was being processed when the engine crashed. */
const CRASH_WHILE_RUNNING = 1;
/** Crash score of a request that was only queued when the engine crashed. */
const CRASH_WHILE_QUEUED = 0.5;
/** From this crash score on, a request is suspected of causing the crash and is retried alone. */
const SUSPECT_SCORE = 1;
/** From this crash score on, a request is not retried. */
const GIVE_UP_SCORE = 2;
/** Number of text pieces kept before they are joined: each piece takes more memory than its characters. */
const MAX_PIECES = 1024;

/** State of one answer on its way through the chain: its text so far, the failures, and the next provider. */
export class AnswerRun {
  readonly signal: StopSignal;
  readonly time: AnswerTime;
  /** Passes a part to the reader of the answer. */
  readonly emit: (part: AnswerPart) => void;
  #readerFault: { readonly error: unknown } | null = null;
  readonly #request: ChatRequest;
  readonly #members: readonly ChainMember[];
  readonly #failures: Failure[] = [];
  #next = 0;
  /** Text passed on so far. Stays empty for answers with a schema. */
  readonly #texts: string[] = [];
  #tokens = 0;
  /** Usage of the current provider. */
  #usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
  #started = false;
  #hop: Pick<FallbackPart, "fromProvider" | "reason"> | null = null;
  /** The provider whose process crashed, until it is retried. */
  #crashedMember: ChainMember | null = null;
  #crashScore = 0;

  constructor(
    request: ChatRequest,
    { signal, onPart }: StreamOptions<AnswerPart>,
    members: readonly ChainMember[],
    totalMs: number,
  ) {
    this.signal = signal;
    this.emit = (part) => {
      try {
        onPart(part);
      } catch (error) {
        this.#readerFault ??= { error };
        throw error;
      }
    };
    this.time = new AnswerTime(totalMs);
    this.#request = request;
    this.#members = members;
  }

  /** Checks whether the caller ended the answer. @throws the signal's reason, or the error that the reader threw */
  throwIfOver(): void {
    this.signal.throwIfAborted();
    if (this.#readerFault !== null) throw this.#readerFault.error;
  }

  /** Whether any text of the answer was passed on. */
  get hasText(): boolean {
    return this.#texts.length > 0;
  }

  get tokensLeft(): number {
    return this.#request.maxTokens - this.#tokens;
  }

  /** Usage of the current provider, as far as it is known. */
  get usage(): Usage {
    const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = this.#usage;
    const usage = { promptTokens, completionTokens, cachedTokens };
    return reasoningTokens > 0 ? { ...usage, reasoningTokens } : usage;
  }

  /** Whether this request may have crashed the engine. */
  get suspected(): boolean {
    return this.#crashScore >= SUSPECT_SCORE;
  }

  /** Whether this request was in flight at two crashes of the engine. */
  get crashedTwice(): boolean {
    return this.#crashScore >= GIVE_UP_SCORE;
  }

  /** Clears the suspicion: the request ran well past the point at which the engine crashed. */
  clear(): void {
    this.#crashScore = 0;
  }

  /** The next provider to try. If none is left, the provider whose process crashed is retried once. Null: none. */
  nextMember(): ChainMember | null {
    const next = this.#members[this.#next++];
    if (next !== undefined) return next;
    const retried = this.#crashedMember;
    this.#crashedMember = null;
    return retried;
  }

  /** The request for the next provider: for the rest of the answer, or for all of it if no text was passed on. */
  requestTo(): ChatRequest {
    if (!this.hasText) {
      // The tokens of reasoning that was passed on count.
      return this.#tokens === 0 ? this.#request : { ...this.#request, maxTokens: this.tokensLeft };
    }
    return { ...this.#request, continueFrom: this.#texts.join(""), maxTokens: this.tokensLeft };
  }

  /** The gate for the text of `provider`; null if its text is passed on directly. */
  gateFor(provider: ChatProvider): TextGate | null {
    if (this.#request.jsonSchema !== undefined) return new WholeGate();
    return this.hasText && provider.continuation !== "prefilled"
      ? new OverlapGate(this.#texts.join(""))
      : null;
  }

  /** Resets the counts at the beginning of a try. */
  begin(): void {
    this.#usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
    this.#started = false;
  }

  started({ promptTokens = 0, cachedTokens = 0 }: Extract<StreamPart, { type: "started" }>): void {
    this.#started = true;
    this.#usage.promptTokens = promptTokens;
    this.#usage.cachedTokens = cachedTokens;
  }

  /** Passes reasoning on to the reader. It is no text of the answer: another provider may start the answer again. */
  emitReasoning(part: Extract<StreamPart, { type: "reasoning-delta" }>): void {
    this.#usage.completionTokens += part.tokens;
    this.#usage.reasoningTokens += part.tokens;
    this.#tokens += part.tokens;
    this.emit(part);
  }

  /** Passes text on to the reader. */
  emitText(piece: Piece): void {
    this.#usage.completionTokens += piece.tokens;
    this.#tokens += piece.tokens;
    if (piece.text !== "" && this.#request.jsonSchema === undefined) {
      this.#texts.push(piece.text);
      if (this.#texts.length === MAX_PIECES) this.#texts.splice(0, MAX_PIECES, this.#texts.join(""));
    }
    this.emit(piece);
  }

  /** Records that `member` failed or was skipped. The answer continues with another provider. */
  failed(member: ChainMember, error: ServiceError): void {
    this.#failures.push({ provider: member.name, error });
    // If several providers fail in a row without taking over, the notice names the first of them.
    this.#hop ??= { fromProvider: member.name, reason: error.clientMessage };
    if (error.code !== "engine_crashed") return;
    this.#crashScore += this.#started ? CRASH_WHILE_RUNNING : CRASH_WHILE_QUEUED;
    this.#crashedMember = member;
  }

  /** The notice that `to` takes over. Returned once for each hand-over; null if no provider failed. */
  takeHop(to: string): FallbackPart | null {
    if (this.#hop === null) return null;
    const hop = this.#hop;
    this.#hop = null;
    const phase = this.hasText ? "mid_stream" : "before_first_token";
    return { type: "fallback", ...hop, toProvider: to, phase };
  }

  /** The error that explains why there is no answer. */
  error(): ServiceError {
    return combinedError(this.#failures);
  }
}
