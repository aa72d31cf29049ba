import { modelLabel } from "./model-label.ts";
import { estimateTokens } from "../../core/fit-prompt.ts";
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
import { AnswerLimit, type CountedPiece } from "./reply/answer-limit.ts";
import { AnswerReader } from "./reply/answer-reader.ts";
import { CompletionStreams, type RemoteProviderSpec, type RemoteDependencies } from "./completion-streams.ts";
import type { RemoteNames } from "./fault-table.ts";
import { badAnswer } from "./http-errors.ts";
import { checkedJson } from "./reply/json-answer.ts";
import { Keepalive } from "./keepalive.ts";
import { plausibleUsage } from "./reply/plausible-usage.ts";
import type { Correction } from "./request-body.ts";
import { ReasoningHabit } from "./reply/reasoning-habit.ts";
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
  /** Reports tokens that were used without text being delivered. */
  readonly onUndelivered: (tokens: number) => void;
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

  async stream(
    request: ChatRequest,
    { signal, onPart, onUndelivered = () => undefined }: StreamOptions<StreamPart>,
  ): Promise<Finish> {
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
      const running = { call, emit, promptTokens, onUndelivered };
      const finish = await (schema
        ? this.#jsonAnswer(request, schema, running)
        : this.#answer(request, running));
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
    const limit = new AnswerLimit(request.maxTokens);
    const keepalive = new Keepalive(this.#deps.clock, promptTokens);
    let reasoningTokens = 0;
    for await (const received of this.#streams.texts(request, call, reader)) {
      reasoningTokens += this.#emitReasoning(reader, limit, emit);
      const { text, tokens } = this.#counted(received, reader, limit);
      if (text !== "") {
        keepalive.beat();
        emit({ type: "text-delta", text, tokens });
      }
      // Leaving the loop closes the connection.
      if (limit.exceeded) break;
      if (received !== "") continue;
      const sign = keepalive.sign();
      if (sign !== null) emit(sign);
    }
    reasoningTokens += this.#emitReasoning(reader, limit, emit);
    return this.#finish(reader, limit, promptTokens, reasoningTokens);
  }

  #readerFor({ sampling }: ChatRequest): AnswerReader {
    return new AnswerReader(this.#spec.names, sampling.stop ?? [], this.#habit.opening);
  }

  /** Emits the reasoning that was read since the last call, within the limit. @returns its tokens */
  #emitReasoning(reader: AnswerReader, limit: AnswerLimit, emit: RunningRequest["emit"]): number {
    const { text, tokens } = limit.take(reader.reasoning.take());
    if (text !== "") emit({ type: "reasoning-delta", text, tokens });
    return tokens;
  }

  /** A text and its tokens within the limit. Reasoning that is returned again as the answer takes no more of it. */
  #counted(received: string, { reasoning }: AnswerReader, limit: AnswerLimit): CountedPiece {
    return reasoning.repeats ? { text: received, tokens: 0 } : limit.take(received);
  }

  /** @throws like {@link AnswerReader.finishReason} */
  #finish(reader: AnswerReader, limit: AnswerLimit, promptTokens: number, reasoningTokens: number): Finish {
    const reason = limit.exceeded ? "length" : reader.finishReason();
    if (!limit.exceeded) this.#habit.record(reader.reasoning.opened);
    const { contextTokens } = this.#spec;
    const reasoning = reader.reasoning.repeats ? 0 : reasoningTokens;
    const { tokens: completionTokens, exceeded: cut } = limit;
    const own = { promptTokens, completionTokens, reasoningTokens: reasoning, contextTokens, cut };
    const reported = reader.usage(promptTokens, completionTokens, reasoning);
    return { reason, usage: plausibleUsage(reported, own) };
  }

  /** Reads an answer with a schema completely and validates it. An invalid answer is requested once more. */
  async #jsonAnswer(request: ChatRequest, schema: JsonSchema, running: RunningRequest): Promise<Finish> {
    const { emit, onUndelivered } = running;
    const keepalive = new Keepalive(this.#deps.clock, running.promptTokens);
    let total: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    let correction: Correction | undefined;
    for (let attempt = 1; ; attempt++) {
      const { whole, tokens, reason, usage } = await this.#jsonText(request, running, keepalive, correction);
      total = sumOfUsage(total, usage);
      // An answer cut by the token limit is not valid JSON, and a second one would be cut as well.
      const checked = reason === "length" ? { json: whole } : checkedJson(whole, schema);
      if ("json" in checked) {
        if (checked.json !== "") emit({ type: "text-delta", text: checked.json, tokens });
        return { reason, usage: total };
      }
      onUndelivered(usage.completionTokens - (usage.reasoningTokens ?? 0));
      if (attempt === MAX_ATTEMPTS) throw badAnswer(this.#spec.names, "its answer is not the requested JSON");
      onUndelivered(usage.promptTokens);
      correction = { answer: whole, fault: checked.fault };
    }
  }

  /** Reads the text of one answer with a schema, with its number of tokens. */
  async #jsonText(
    request: ChatRequest,
    { call, emit, promptTokens, onUndelivered }: RunningRequest,
    keepalive: Keepalive,
    correction: Correction | undefined,
  ): Promise<Finish & { readonly whole: string; readonly tokens: number }> {
    const reader = this.#readerFor(request);
    const limit = new AnswerLimit(request.maxTokens);
    let whole = "";
    let reasoningTokens = 0;
    try {
      for await (const received of this.#streams.texts(request, call, reader, correction)) {
        reasoningTokens += this.#emitReasoning(reader, limit, emit);
        whole += this.#counted(received, reader, limit).text;
        if (limit.exceeded) break;
        const sign = keepalive.sign();
        if (sign !== null) emit(sign);
      }
      reasoningTokens += this.#emitReasoning(reader, limit, emit);
      const tokens = limit.tokens - reasoningTokens;
      return { whole, tokens, ...this.#finish(reader, limit, promptTokens, reasoningTokens) };
    } catch (error) {
      onUndelivered(limit.tokens - reasoningTokens);
      throw error;
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
