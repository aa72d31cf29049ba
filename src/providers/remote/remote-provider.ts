import { estimateTokens } from "../../core/estimate-tokens.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider, ChatRequest, ProviderHealth, StreamPart } from "../provider.ts";
import { AnswerReader } from "./answer-reader.ts";
import { guardedCall, type Fetch, type GuardedCall } from "./guarded-fetch.ts";
import { badAnswer, mapFault, mapNetworkFault, readFault, type RemoteNames } from "./http-errors.ts";
import { jsonOf } from "./json-answer.ts";
import {
  adaptDialect,
  firstDialect,
  ownParameters,
  prepareRequest,
  type CompletionBody,
  type Dialect,
} from "./request-body.ts";

/** How one SDK is used; everything else is the same for all remote back ends. */
export interface RemoteBackEnd {
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
const MOST_FORMS = 4;

/** One call to the server: its connection, and why it was stopped from this side. */
class RunningCall {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal;
  readonly #onAbort = () => this.#controller.abort();
  #closing: ProviderError | undefined;

  constructor(caller: AbortSignal) {
    this.#caller = caller;
    caller.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the connection; harmless after its end. */
  end(): void {
    this.#caller.removeEventListener("abort", this.#onAbort);
    this.#controller.abort();
  }

  close(reason: ProviderError): void {
    this.#closing ??= reason;
    this.end();
  }

  throwIfStopped(): void {
    this.#caller.throwIfAborted();
    if (this.#closing) throw this.#closing;
  }
}

interface OpenStream {
  readonly iterator: AsyncIterator<unknown>;
  readonly first: IteratorResult<unknown>;
  readonly guarded: GuardedCall;
}

class RemoteProvider implements ChatProvider {
  readonly name: RemoteNames["provider"];
  readonly remote: boolean;
  readonly #backEnd: RemoteBackEnd;
  readonly #deps: RemoteDependencies;
  readonly #running = new Set<RunningCall>();
  #dialect: Dialect = firstDialect;
  #health: ProviderHealth = { state: "ready", reason: "" };
  #closed = false;

  constructor(backEnd: RemoteBackEnd, deps: RemoteDependencies) {
    this.name = backEnd.names.provider;
    this.remote = backEnd.remote;
    this.#backEnd = backEnd;
    this.#deps = deps;
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return { model: this.#backEnd.model, contextTokens: this.#backEnd.contextTokens };
  }

  countTokens(text: string): Promise<number> {
    return Promise.resolve(estimateTokens(text));
  }

  /** What the last call showed; no call is made for it. */
  health(): ProviderHealth {
    return this.#health;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#health = { state: "down", reason: "It is closed." };
    for (const call of this.#running) call.close(this.#closingError());
    return Promise.resolve();
  }

  async *stream(request: ChatRequest, options: { signal: AbortSignal }): AsyncGenerator<StreamPart, void> {
    options.signal.throwIfAborted();
    if (this.#closed) throw this.#closingError();
    const { fitted } = prepareRequest(request, this.#dialect, this.#target());
    const call = new RunningCall(options.signal);
    this.#running.add(call);
    try {
      yield {
        type: "started",
        provider: this.name,
        model: this.#backEnd.model,
        droppedTurns: fitted.droppedTurns,
        promptTokens: fitted.promptTokens,
      };
      call.throwIfStopped();
      yield* this.#answer(request, call, fitted.promptTokens);
    } catch (error) {
      call.throwIfStopped();
      throw this.#noted(error);
    } finally {
      this.#running.delete(call);
      call.end();
    }
  }

  async *#answer(
    request: ChatRequest,
    call: RunningCall,
    promptTokens: number,
  ): AsyncGenerator<StreamPart, void> {
    const reader = new AnswerReader(this.#backEnd.names, request.sampling.stop ?? []);
    const structured = request.jsonSchema !== undefined;
    let tokens = 0;
    let whole = "";
    for await (const text of this.#texts(request, call, reader)) {
      const estimate = Math.max(1, Math.round(Buffer.byteLength(text, "utf8") / 3));
      tokens += estimate;
      if (structured) whole += text;
      else yield { type: "text-delta", text, tokens: estimate };
      call.throwIfStopped();
    }
    const reason = reader.finishReason();
    if (structured) {
      const json = reason === "stop" ? jsonOf(whole) : whole;
      if (json === null)
        throw badAnswer(this.#backEnd.names, "its answer is not the JSON that was asked for");
      if (json !== "") yield { type: "text-delta", text: json, tokens };
      call.throwIfStopped();
    }
    this.#health = { state: "ready", reason: "" };
    yield { type: "finish", reason, usage: reader.usage(promptTokens, tokens) };
  }

  /** The texts of one answer, up to its finish reason; the usage that follows is read as far as it comes soon. */
  async *#texts(request: ChatRequest, call: RunningCall, reader: AnswerReader): AsyncGenerator<string, void> {
    const { iterator, first, guarded } = await this.#open(request, call);
    let stopWaiting: (() => void) | undefined;
    try {
      for (let chunk = first; chunk.done !== true; chunk = await iterator.next()) {
        const text = reader.push(chunk.value);
        if (text !== "") yield text;
        call.throwIfStopped();
        if (reader.stopped) break;
        if (reader.finished) stopWaiting ??= this.#deps.clock.after(USAGE_GRACE_MS, () => call.end());
      }
    } catch (error) {
      call.throwIfStopped();
      // With its finish reason the answer is whole, whatever becomes of the connection afterwards.
      if (!reader.finished) throw this.#mapped(error, guarded);
    } finally {
      stopWaiting?.();
    }
    // The SDK ends an aborted stream without an error.
    call.throwIfStopped();
    const rest = reader.flush();
    if (rest !== "") yield rest;
  }

  /** Sends the request; when the server does not know a parameter, says the same in another form. */
  async #open(request: ChatRequest, call: RunningCall): Promise<OpenStream> {
    let dialect = this.#dialect;
    for (let form = 1; ; form++) {
      const guarded = guardedCall(this.#backEnd.names, this.#deps.clock);
      const { body } = prepareRequest(request, dialect, this.#target());
      try {
        const { signal } = call;
        const stream = await this.#backEnd.open(body, { signal, fetch: guarded.fetch });
        const iterator = stream[Symbol.asyncIterator]();
        const first = await iterator.next();
        this.#learn(dialect);
        return { iterator, first, guarded };
      } catch (error) {
        call.throwIfStopped();
        const next = adaptDialect(dialect, guarded.rejected);
        if (next === null || form === MOST_FORMS) throw this.#mapped(error, guarded);
        dialect = next;
      }
    }
  }

  /** Keeps a form that the server took. One that was only tried in vain is forgotten. */
  #learn(dialect: Dialect): void {
    if (dialect === this.#dialect) return;
    this.#dialect = dialect;
    this.#deps.logger.info(
      { provider: this.name, ...dialect },
      "The server does not know a parameter; another form is used from now on",
    );
  }

  #mapped(error: unknown, guarded: GuardedCall): ProviderError {
    const { names } = this.#backEnd;
    if (guarded.failure) return guarded.failure;
    if (error instanceof ProviderError) return error;
    const inBand = this.#backEnd.inBandError(error);
    if (inBand !== undefined) return mapFault(names, readFault(inBand), ownParameters);
    // The message of a SyntaxError quotes the text, so not even the cause is kept.
    if (error instanceof SyntaxError) return badAnswer(names, "a chunk of its stream is not JSON");
    return mapNetworkFault(names, error, guarded.begun);
  }

  /** Remembers a failure for `health`, except those that only concern one request. */
  #noted(error: unknown): unknown {
    if (!(error instanceof ProviderError)) return error;
    if (error.code === "provider_auth" || error.code === "provider_quota") {
      this.#health = { state: "down", reason: error.message };
    } else if (error.code.startsWith("provider_") || error.code === "bad_answer" || error.status === 404) {
      this.#health = { state: "degraded", reason: error.message };
    }
    return error;
  }

  #target(): { provider: string; model: string; contextTokens: number } {
    return { provider: this.name, ...this.describe() };
  }

  #closingError(): ProviderError {
    const message = `The ${this.name} back end is being closed.`;
    return new ProviderError(this.name, "provider_unavailable", message);
  }
}

/** A chat provider over HTTP that speaks OpenAI's chat completions through an SDK. */
export function createRemoteProvider(backEnd: RemoteBackEnd, deps: RemoteDependencies): ChatProvider {
  return new RemoteProvider(backEnd, deps);
}
