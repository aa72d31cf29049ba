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

/** A death while the request had its turn, and one while it only waited. At {@link SUSPECTED_AT} a request goes on alone. */
const DEATH_RUNNING = 1;
const DEATH_WAITING = 0.5;
const SUSPECTED_AT = 1;
/** Texts that are kept apart: each costs more than its characters. */
const MAX_PIECES = 1024;
/** In flight at two deaths: it is not tried again. */
const CRASHED_TWICE_AT = 2;

/** One answer on its way through the chain: what it has so far, who failed, who is next. */
export class AnswerRun {
  readonly signal: StopSignal;
  readonly time: AnswerTime;
  /** Hands a part to who asked for the answer, the reader. */
  readonly emit: (part: AnswerPart) => void;
  #readerFault: { readonly error: unknown } | null = null;
  readonly #request: ChatRequest;
  readonly #members: readonly ChainMember[];
  readonly #failures: Failure[] = [];
  #next = 0;
  /** Texts passed on so far; none while an answer with a schema is being made. */
  readonly #texts: string[] = [];
  #tokens = 0;
  /** Of the present provider. */
  #usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
  #started = false;
  #hop: Pick<FallbackPart, "fromProvider" | "reason"> | null = null;
  /** The provider whose process died, until it was tried again. */
  #died: ChainMember | null = null;
  #crashes = 0;

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

  /** What ends the answer and is no fault of a provider. @throws the signal's reason, or what the reader has thrown */
  throwIfOver(): void {
    this.signal.throwIfAborted();
    if (this.#readerFault !== null) throw this.#readerFault.error;
  }

  /** Whether text of it was passed on. */
  get hasText(): boolean {
    return this.#texts.length > 0;
  }

  get tokensLeft(): number {
    return this.#request.maxTokens - this.#tokens;
  }

  /** Of the present provider, as far as is known. */
  get usage(): Usage {
    return { ...this.#usage };
  }

  get suspected(): boolean {
    return this.#crashes >= SUSPECTED_AT;
  }

  get crashedTwice(): boolean {
    return this.#crashes >= CRASHED_TWICE_AT;
  }

  /** It runs well past the point at which the engine died: that was not its doing. */
  clear(): void {
    this.#crashes = 0;
  }

  /** The provider to ask next. Only when none is left, the one whose process died gets a second turn. */
  nextMember(): ChainMember | null {
    const next = this.#members[this.#next++];
    if (next !== undefined) return next;
    const again = this.#died;
    this.#died = null;
    return again;
  }

  /** What the next provider is asked: the rest of the answer, or the whole where nothing was passed on. */
  requestTo(): ChatRequest {
    if (!this.hasText) return this.#request;
    return { ...this.#request, continueFrom: this.#texts.join(""), maxTokens: this.tokensLeft };
  }

  /** What its text has to pass; null: nothing. */
  gateFor(provider: ChatProvider): TextGate | null {
    if (this.#request.jsonSchema !== undefined) return new WholeGate();
    return this.hasText && provider.continuation !== "prefilled"
      ? new OverlapGate(this.#texts.join(""))
      : null;
  }

  /** A try begins. */
  begin(): void {
    this.#usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    this.#started = false;
  }

  started({ promptTokens = 0, cachedTokens = 0 }: Extract<StreamPart, { type: "started" }>): void {
    this.#started = true;
    this.#usage.promptTokens = promptTokens;
    this.#usage.cachedTokens = cachedTokens;
  }

  /** Passes text on. */
  emitText(piece: Piece): void {
    this.#usage.completionTokens += piece.tokens;
    this.#tokens += piece.tokens;
    if (piece.text !== "" && this.#request.jsonSchema === undefined) {
      this.#texts.push(piece.text);
      if (this.#texts.length === MAX_PIECES) this.#texts.splice(0, MAX_PIECES, this.#texts.join(""));
    }
    this.emit(piece);
  }

  /** A provider gave up, or was not asked at all: the answer goes on with another one. */
  failed(member: ChainMember, error: ServiceError): void {
    this.#failures.push({ provider: member.name, error });
    // Where the next one fails before it has taken over, the notice still names the one before it.
    this.#hop ??= { fromProvider: member.name, reason: error.message };
    if (error.code !== "engine_crashed") return;
    this.#crashes += this.#started ? DEATH_RUNNING : DEATH_WAITING;
    this.#died = member;
  }

  /** The notice that `to` takes over, once for each hop; null where nobody failed. */
  takeHop(to: string): FallbackPart | null {
    if (this.#hop === null) return null;
    const hop = this.#hop;
    this.#hop = null;
    const phase = this.hasText ? "mid_stream" : "before_first_token";
    return { type: "fallback", ...hop, toProvider: to, phase };
  }

  /** Why there is no answer. */
  error(): ServiceError {
    return combinedError(this.#failures);
  }
}
