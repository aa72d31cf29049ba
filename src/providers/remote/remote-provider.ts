import { modelLabel } from "./model-label.ts";
import { estimatePieceTokens, estimateTokens } from "../../core/fit-prompt.ts";
import { ProviderError } from "../provider-error.ts";
import {
  sumOfUsage,
  type ChatProvider,
  type ChatRequest,
  type Finish,
  type JsonSchema,
  type ProviderHealth,
  type StreamOptions,
  type StreamPart,
  type Usage,
} from "../provider.ts";
import { AnswerReader } from "./answer-reader.ts";
import { CompletionStreams, type RemoteProviderSpec, type RemoteDependencies } from "./completion-streams.ts";
import type { RemoteNames } from "./fault-table.ts";
import { badAnswer } from "./http-errors.ts";
import { checkedJson } from "./json-answer.ts";
import { Keepalive } from "./keepalive.ts";
import type { Correction } from "./request-body.ts";
import { ReasoningHabit } from "./reasoning-habit.ts";
import { RunningCall } from "./running-call.ts";

export type { RemoteProviderSpec, RemoteDependencies };

/** Maximum number of requests for an answer with a schema: an invalid answer is requested once more. */
const MAX_ATTEMPTS = 2;

/** A request in progress. */
interface RunningRequest {
  readonly call: RunningCall;
  /** Emits a part. @throws like {@link RunningCall.throwIfStopped} */
  readonly emit: (part: StreamPart) => void;
  readonly promptTokens: number;
}

class RemoteProvider implements ChatProvider {
  readonly name: RemoteNames["provider"];
  readonly remote: boolean;
  readonly #spec: RemoteProviderSpec;
  readonly #modelLabel: string;
  readonly #deps: RemoteDependencies;
  readonly #running = new Set<RunningCall>();
  readonly #streams: CompletionStreams;
  readonly #habit: ReasoningHabit;
  #health: ProviderHealth = { state: "ready", reason: "" };
  #closed = false;

  constructor(spec: RemoteProviderSpec, deps: RemoteDependencies) {
    this.name = spec.names.provider;
    this.remote = spec.remote;
    this.#spec = spec;
    this.#modelLabel = modelLabel(spec.model);
    this.#deps = deps;
    this.#habit = new ReasoningHabit(spec.model);
    this.#streams = new CompletionStreams(spec, deps);
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return { model: this.#modelLabel, contextTokens: this.#spec.contextTokens };
  }

  countTokens(text: string): Promise<number> {
    return Promise.resolve(estimateTokens(text));
  }

  /** Health according to the last request; sends no request itself. */
  health(): ProviderHealth {
    return this.#health;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#health = { state: "down", reason: "The provider is closed." };
    for (const call of this.#running) call.close(this.#closingError());
    return Promise.resolve();
  }

  async stream(request: ChatRequest, { signal, onPart }: StreamOptions<StreamPart>): Promise<Finish> {
    signal.throwIfAborted();
    if (this.#closed) throw this.#closingError();
    const { fitted } = this.#streams.prepare(request);
    const call = new RunningCall(signal);
    this.#running.add(call);
    const emit = (part: StreamPart): void => {
      call.throwIfStopped();
      onPart(part);
      call.throwIfStopped();
    };
    const { droppedTurns, promptTokens } = fitted;
    try {
      emit({ type: "started", provider: this.name, ...this.describe(), droppedTurns, promptTokens });
      const { jsonSchema: schema } = request;
      const finish = await (schema
        ? this.#jsonAnswer(request, schema, { call, emit, promptTokens })
        : this.#answer(request, { call, emit, promptTokens }));
      this.#health = { state: "ready", reason: "" };
      return finish;
    } catch (error) {
      call.throwIfStopped();
      this.#recordFailure(error);
      throw error;
    } finally {
      this.#running.delete(call);
      call.end();
    }
  }

  async #answer(request: ChatRequest, { call, emit, promptTokens }: RunningRequest): Promise<Finish> {
    const reader = this.#readerFor(request);
    const keepalive = new Keepalive(this.#deps.clock, promptTokens);
    let completionTokens = 0;
    let reasoningTokens = 0;
    const emitReasoning = (): void => {
      const tokens = this.#emitReasoning(reader, emit);
      completionTokens += tokens;
      reasoningTokens += tokens;
    };
    for await (const text of this.#streams.texts(request, call, reader)) {
      emitReasoning();
      if (text === "") {
        const sign = keepalive.sign();
        if (sign !== null) emit(sign);
      } else {
        const tokens = estimatePieceTokens(text);
        completionTokens += tokens;
        keepalive.beat();
        emit({ type: "text-delta", text, tokens });
      }
    }
    emitReasoning();
    const usage = reader.usage(promptTokens, completionTokens, reasoningTokens);
    this.#habit.learn(reader.reasoning.opened);
    return { reason: reader.finishReason(), usage };
  }

  #readerFor({ sampling }: ChatRequest): AnswerReader {
    return new AnswerReader(this.#spec.names, sampling.stop ?? [], this.#habit.opening);
  }

  /** Emits the reasoning that was read since the last call. @returns its tokens, estimated */
  #emitReasoning(reader: AnswerReader, emit: RunningRequest["emit"]): number {
    const text = reader.reasoning.take();
    if (text === "") return 0;
    const tokens = estimatePieceTokens(text);
    emit({ type: "reasoning-delta", text, tokens });
    return tokens;
  }

  /** Reads an answer with a schema completely and validates it. An invalid answer is requested once more. */
  async #jsonAnswer(
    request: ChatRequest,
    schema: JsonSchema,
    { call, emit, promptTokens }: RunningRequest,
  ): Promise<Finish> {
    const keepalive = new Keepalive(this.#deps.clock, promptTokens);
    let usage: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    let correction: Correction | undefined;
    for (let attempt = 1; ; attempt++) {
      const reader = this.#readerFor(request);
      let whole = "";
      let reasoningTokens = 0;
      for await (const text of this.#streams.texts(request, call, reader, correction)) {
        whole += text;
        reasoningTokens += this.#emitReasoning(reader, emit);
        const sign = keepalive.sign();
        if (sign !== null) emit(sign);
      }
      reasoningTokens += this.#emitReasoning(reader, emit);
      const reason = reader.finishReason();
      const completionTokens = estimatePieceTokens(whole) + reasoningTokens;
      usage = sumOfUsage(usage, reader.usage(promptTokens, completionTokens, reasoningTokens));
      // An answer cut by the token limit is not valid JSON, and a second one would be cut as well.
      const checked = reason === "length" ? { json: whole } : checkedJson(whole, schema);
      if ("json" in checked) {
        const { json: text } = checked;
        if (text !== "") emit({ type: "text-delta", text, tokens: estimatePieceTokens(text) });
        return { reason, usage };
      }
      if (attempt === MAX_ATTEMPTS) throw badAnswer(this.#spec.names, "its answer is not the requested JSON");
      correction = { answer: whole, fault: checked.fault };
    }
  }

  /** Updates the health after a failure, unless the failure concerns a single request only. */
  #recordFailure(error: unknown): void {
    if (!(error instanceof ProviderError)) return;
    if (error.code === "provider_auth" || error.code === "provider_quota") {
      this.#health = { state: "down", reason: error.message };
    } else if (error.code.startsWith("provider_") || error.code === "bad_answer" || error.status === 404) {
      this.#health = { state: "degraded", reason: error.message };
    }
  }

  #closingError(): ProviderError {
    const message = `The ${this.name} provider is shutting down.`;
    return new ProviderError(this.name, "provider_unavailable", message);
  }
}

/** Creates a chat provider that uses OpenAI's chat completions over HTTP through an SDK. */
export function createRemoteProvider(spec: RemoteProviderSpec, deps: RemoteDependencies): ChatProvider {
  return new RemoteProvider(spec, deps);
}
