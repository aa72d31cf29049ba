import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatRequest } from "../provider.ts";
import type { AnswerReader } from "./reply/answer-reader.ts";
import type { CompletionBody } from "./dialect/completion-body.ts";
import { adaptDialect, dialectKey, firstDialect, type Dialect } from "./dialect/dialect.ts";
import { readRefusal } from "./dialect/refusal.ts";
import type { RemoteNames } from "./fault-table.ts";
import { guardedCall, type Fetch, type GuardedCall } from "./guarded-fetch.ts";
import { badAnswer, mapNetworkFault } from "./http-errors.ts";
import { prepareRequest, type Correction, type PreparedRequest } from "./request-body.ts";
import { RunningCall } from "./running-call.ts";

/** The parts of a remote provider that depend on its SDK. */
export interface RemoteProviderSpec {
  readonly names: RemoteNames;
  readonly model: string;
  /** Context window of the model in tokens, prompt and answer together. */
  readonly contextTokens: number;
  /** Whether text leaves this machine; false for a loopback address. */
  readonly remote: boolean;
  /** Starts one streaming completion with the given `fetch`. Must neither retry nor log. */
  open(body: CompletionBody, call: { signal: AbortSignal; fetch: Fetch }): Promise<AsyncIterable<unknown>>;
}

export interface RemoteDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sends requests, for instance through a proxy. Absent: the one of Node.js. */
  readonly fetch?: Fetch | undefined;
}

/** Maximum milliseconds to wait for the usage after the text and the finish reason. */
const USAGE_GRACE_MS = 1000;
/** Maximum milliseconds between chunks after a finish reason that may be early: text is missing, or followed it. */
const EARLY_REASON_MS = 10_000;
/**
 * Maximum number of requests sent to find an accepted dialect: the first one, one for each part that can change (name
 * of the token limit, schema, usage, four sampling parameters), and two each for the range and the roles.
 */
const MAX_ATTEMPTS = 12;

interface OpenStream {
  readonly iterator: AsyncIterator<unknown>;
  readonly first: IteratorResult<unknown>;
  readonly guarded: GuardedCall;
}

/** Opens the streams of one provider and remembers the request dialect that its server accepts. */
export class CompletionStreams {
  readonly #spec: RemoteProviderSpec;
  readonly #deps: RemoteDependencies;
  #dialect: Dialect = firstDialect;

  constructor(spec: RemoteProviderSpec, deps: RemoteDependencies) {
    this.#spec = spec;
    this.#deps = deps;
  }

  /**
   * Builds the request in the current dialect.
   *
   * @throws ProviderError `prompt_too_long`
   */
  prepare(request: ChatRequest): PreparedRequest {
    return prepareRequest(request, this.#dialect, this.#target());
  }

  /**
   * Yields the texts of one answer, and "" for a chunk without text. After the finish reason it waits for a short time
   * only: for the usage, and for text after a reason that came early.
   */
  async *texts(
    request: ChatRequest,
    call: RunningCall,
    reader: AnswerReader,
    correction?: Correction,
  ): AsyncGenerator<string, void> {
    const connection = new RunningCall(call.signal);
    let stopWaiting: (() => void) | undefined;
    let waitedEnough = false;
    const endWaiting = (): void => {
      waitedEnough = true;
      connection.end();
    };
    let guarded: GuardedCall | undefined;
    try {
      const opened = await this.#open(request, call, connection.signal, correction);
      guarded = opened.guarded;
      const { iterator, first } = opened;
      for (let chunk = first; chunk.done !== true; chunk = await iterator.next()) {
        const hadReason = reader.hasReason;
        const text = reader.push(chunk.value);
        yield text;
        call.throwIfStopped();
        if (reader.stopped) break;
        if (!reader.hasReason) continue;
        if (text !== "" || !reader.finished) {
          stopWaiting?.();
          stopWaiting = undefined;
        }
        // Text after a reason shows that the reason was early, so that more text may follow.
        const isEarly = !reader.finished || (hadReason && text !== "");
        stopWaiting ??= this.#deps.clock.after(isEarly ? EARLY_REASON_MS : USAGE_GRACE_MS, endWaiting);
      }
    } catch (error) {
      call.throwIfStopped();
      // After the finish reason the answer is whole, even if the connection fails.
      if (!reader.finished && !waitedEnough) throw guarded ? this.#mapped(error, guarded) : error;
    } finally {
      stopWaiting?.();
      connection.end();
    }
    // The SDK ends an aborted stream without an error.
    call.throwIfStopped();
    const rest = reader.flush();
    if (rest !== "") yield rest;
  }

  /** Sends the request. If the server refuses something that can be changed, sends it again in another dialect. */
  async #open(
    request: ChatRequest,
    call: RunningCall,
    signal: AbortSignal,
    correction?: Correction,
  ): Promise<OpenStream> {
    let dialect = this.#dialect;
    let learned: Partial<Dialect> = {};
    const tried = new Set<string>();
    for (;;) {
      tried.add(dialectKey(dialect));
      const guarded = guardedCall(this.#spec.names, this.#deps.clock, this.#deps.fetch);
      const { body } = prepareRequest(request, dialect, this.#target(), correction);
      try {
        const stream = await this.#spec.open(body, { signal, fetch: guarded.fetch });
        const iterator = stream[Symbol.asyncIterator]();
        const first = await iterator.next();
        this.#learn(learned);
        return { iterator, first, guarded };
      } catch (error) {
        call.throwIfStopped();
        const refusal = guarded.fault && readRefusal(guarded.fault);
        const change = refusal ? adaptDialect(dialect, refusal, body) : null;
        if (change === null) throw this.#mapped(error, guarded);
        dialect = { ...dialect, ...change.lasting, ...change.once };
        learned = { ...learned, ...change.lasting };
        if (tried.has(dialectKey(dialect)) || tried.size === MAX_ATTEMPTS) throw this.#mapped(error, guarded);
      }
    }
  }

  /** Remembers what the server turned out to accept. */
  #learn(learned: Partial<Dialect>): void {
    const dialect = { ...this.#dialect, ...learned };
    if (dialectKey(dialect) === dialectKey(this.#dialect)) return;
    this.#dialect = dialect;
    this.#deps.logger.info(
      { provider: this.#spec.names.provider, ...dialect },
      "server rejected a part of the request, switched to another dialect",
    );
  }

  #mapped(error: unknown, guarded: GuardedCall): ProviderError {
    const { names } = this.#spec;
    if (guarded.failure) return guarded.failure;
    if (error instanceof ProviderError) return error;
    // The message of a SyntaxError quotes the text, so the error is not kept as the cause.
    if (error instanceof SyntaxError) return badAnswer(names, "its stream contains a chunk that is not JSON");
    return mapNetworkFault(names, error, guarded.begun);
  }

  #target(): { provider: string; model: string; contextTokens: number } {
    const { names, model, contextTokens } = this.#spec;
    return { provider: names.provider, model, contextTokens };
  }
}
