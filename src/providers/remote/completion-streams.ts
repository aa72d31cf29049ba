import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatRequest } from "../provider.ts";
import type { AnswerReader } from "./answer-reader.ts";
import type { RemoteNames } from "./fault-table.ts";
import { guardedCall, type Fetch, type GuardedCall } from "./guarded-fetch.ts";
import { badAnswer, mapFault, mapNetworkFault, readFault } from "./http-errors.ts";
import {
  adaptDialect,
  firstDialect,
  isSameDialect,
  ownParameters,
  prepareRequest,
  type CompletionBody,
  type Correction,
  type Dialect,
  type PreparedRequest,
} from "./request-body.ts";
import { RunningCall } from "./running-call.ts";

/** How one SDK is used; everything else is the same for all remote providers. */
export interface RemoteProviderSpec {
  readonly names: RemoteNames;
  readonly model: string;
  /** The model's window, prompt and answer together. */
  readonly contextTokens: number;
  /** Whether text leaves this machine: false for an address of this machine. */
  readonly remote: boolean;
  /** Starts one streaming completion through the given `fetch`. Must neither retry nor log. */
  open(body: CompletionBody, call: { signal: AbortSignal; fetch: Fetch }): Promise<AsyncIterable<unknown>>;
  /** The body of an error that the server sent within its stream and the SDK threw; undefined for other errors. */
  inBandError(error: unknown): unknown;
}

export interface RemoteDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** After the finish reason only the usage can follow; a server that keeps the stream open longer is not waited for. */
const USAGE_GRACE_MS = 1000;
/** First form, and one more for each thing of the dialect that can change. */
const MAX_FORMS = 5;
interface OpenStream {
  readonly iterator: AsyncIterator<unknown>;
  readonly first: IteratorResult<unknown>;
  readonly guarded: GuardedCall;
}

/** The streams of one provider, asked for in the dialect that it has been found to know. */
export class CompletionStreams {
  readonly #spec: RemoteProviderSpec;
  readonly #deps: RemoteDependencies;
  #dialect: Dialect = firstDialect;

  constructor(spec: RemoteProviderSpec, deps: RemoteDependencies) {
    this.#spec = spec;
    this.#deps = deps;
  }

  /**
   * The request as it would be sent now.
   *
   * @throws ProviderError `prompt_too_long`
   */
  prepare(request: ChatRequest): PreparedRequest {
    return prepareRequest(request, this.#dialect, this.#target());
  }

  /**
   * The texts of one answer, up to its finish reason, with "" for a chunk that has none; the usage that follows is read
   * as far as it comes soon.
   */
  async *texts(
    request: ChatRequest,
    call: RunningCall,
    reader: AnswerReader,
    correction?: Correction,
  ): AsyncGenerator<string, void> {
    const connection = new RunningCall(call.signal);
    let stopWaiting: (() => void) | undefined;
    let guarded: GuardedCall | undefined;
    try {
      const opened = await this.#open(request, call, connection.signal, correction);
      guarded = opened.guarded;
      const { iterator, first } = opened;
      for (let chunk = first; chunk.done !== true; chunk = await iterator.next()) {
        yield reader.push(chunk.value);
        call.throwIfStopped();
        if (reader.stopped) break;
        if (reader.finished) stopWaiting ??= this.#deps.clock.after(USAGE_GRACE_MS, () => connection.end());
      }
    } catch (error) {
      call.throwIfStopped();
      // With its finish reason the answer is whole, whatever becomes of the connection afterwards.
      if (!reader.finished) throw guarded ? this.#mapped(error, guarded) : error;
    } finally {
      stopWaiting?.();
      connection.end();
    }
    // The SDK ends an aborted stream without an error.
    call.throwIfStopped();
    const rest = reader.flush();
    if (rest !== "") yield rest;
  }

  /** Sends the request; when the server does not know a parameter, says the same in another form. */
  async #open(
    request: ChatRequest,
    call: RunningCall,
    signal: AbortSignal,
    correction?: Correction,
  ): Promise<OpenStream> {
    let dialect = this.#dialect;
    for (let form = 1; ; form++) {
      const guarded = guardedCall(this.#spec.names, this.#deps.clock);
      const { body } = prepareRequest(request, dialect, this.#target(), correction);
      try {
        const stream = await this.#spec.open(body, { signal, fetch: guarded.fetch });
        const iterator = stream[Symbol.asyncIterator]();
        const first = await iterator.next();
        this.#learn(dialect);
        return { iterator, first, guarded };
      } catch (error) {
        call.throwIfStopped();
        const rejected = guarded.rejected.filter((name) => name === "json_schema" || name in body);
        const next = adaptDialect(dialect, rejected, guarded.unsupported);
        if (next === null || form === MAX_FORMS) throw this.#mapped(error, guarded);
        dialect = next;
      }
    }
  }

  /** Keeps a form that the server took. One that was only tried in vain is forgotten. */
  #learn(dialect: Dialect): void {
    if (isSameDialect(dialect, this.#dialect)) return;
    this.#dialect = dialect;
    this.#deps.logger.info(
      { provider: this.#spec.names.provider, ...dialect },
      "The server does not know a parameter; another form is used from now on",
    );
  }

  #mapped(error: unknown, guarded: GuardedCall): ProviderError {
    const { names } = this.#spec;
    if (guarded.failure) return guarded.failure;
    if (error instanceof ProviderError) return error;
    const inBand = this.#spec.inBandError(error);
    if (inBand !== undefined) return mapFault(names, readFault(inBand), ownParameters);
    // The message of a SyntaxError quotes the text, so not even the cause is kept.
    if (error instanceof SyntaxError) return badAnswer(names, "a chunk of its stream is not JSON");
    return mapNetworkFault(names, error, guarded.begun);
  }

  #target(): { provider: string; model: string; contextTokens: number } {
    const { names, model, contextTokens } = this.#spec;
    return { provider: names.provider, model, contextTokens };
  }
}
