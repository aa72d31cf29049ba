import { estimatePieceTokens, estimateTokens } from "../../core/fit-prompt.ts";
import { ProviderError } from "../provider-error.ts";
import type {
  ChatProvider,
  ChatRequest,
  Finish,
  JsonSchema,
  ProviderHealth,
  StreamOptions,
  StreamPart,
  Usage,
} from "../provider.ts";
import { AnswerReader } from "./answer-reader.ts";
import { CompletionStreams, type RemoteBackEnd, type RemoteDependencies } from "./completion-streams.ts";
import type { RemoteNames } from "./fault-table.ts";
import { badAnswer } from "./http-errors.ts";
import { checkedJson } from "./json-answer.ts";
import { Pulse } from "./pulse.ts";
import type { Correction } from "./request-body.ts";
import { RunningCall } from "./running-call.ts";

export type { RemoteBackEnd, RemoteDependencies };

/** An answer that is not the JSON that was asked for is asked for once more. */
const MAX_ASKS = 2;

function sumOf(a: Usage, b: Usage): Usage {
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    ...((a.estimated === true || b.estimated === true) && { estimated: true }),
  };
}

/** A request on its way. */
interface Asked {
  readonly call: RunningCall;
  /** Hands a part over. @throws as {@link RunningCall.throwIfStopped} */
  readonly tell: (part: StreamPart) => void;
  readonly promptTokens: number;
}

class RemoteProvider implements ChatProvider {
  readonly name: RemoteNames["provider"];
  readonly remote: boolean;
  readonly #backEnd: RemoteBackEnd;
  readonly #deps: RemoteDependencies;
  readonly #running = new Set<RunningCall>();
  readonly #streams: CompletionStreams;
  #health: ProviderHealth = { state: "ready", reason: "" };
  #closed = false;

  constructor(backEnd: RemoteBackEnd, deps: RemoteDependencies) {
    this.name = backEnd.names.provider;
    this.remote = backEnd.remote;
    this.#backEnd = backEnd;
    this.#deps = deps;
    this.#streams = new CompletionStreams(backEnd, deps);
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

  async stream(request: ChatRequest, { signal, onPart }: StreamOptions<StreamPart>): Promise<Finish> {
    signal.throwIfAborted();
    if (this.#closed) throw this.#closingError();
    const { fitted } = this.#streams.prepare(request);
    const call = new RunningCall(signal);
    this.#running.add(call);
    const tell = (part: StreamPart): void => {
      call.throwIfStopped();
      onPart(part);
      call.throwIfStopped();
    };
    const { droppedTurns, promptTokens } = fitted;
    try {
      tell({ type: "started", provider: this.name, model: this.#backEnd.model, droppedTurns, promptTokens });
      const { jsonSchema: schema } = request;
      const finish = await (schema
        ? this.#jsonAnswer(request, schema, { call, tell, promptTokens })
        : this.#answer(request, { call, tell, promptTokens }));
      this.#health = { state: "ready", reason: "" };
      return finish;
    } catch (error) {
      call.throwIfStopped();
      throw this.#noted(error);
    } finally {
      this.#running.delete(call);
      call.end();
    }
  }

  async #answer(request: ChatRequest, { call, tell, promptTokens }: Asked): Promise<Finish> {
    const reader = new AnswerReader(this.#backEnd.names, request.sampling.stop ?? []);
    const pulse = new Pulse(this.#deps.clock, promptTokens);
    let all = 0;
    for await (const text of this.#streams.texts(request, call, reader)) {
      if (text === "") {
        const sign = pulse.sign();
        if (sign !== null) tell(sign);
      } else {
        const tokens = estimatePieceTokens(text);
        all += tokens;
        pulse.beat();
        tell({ type: "text-delta", text, tokens });
      }
    }
    return { reason: reader.finishReason(), usage: reader.usage(promptTokens, all) };
  }

  /** An answer with a schema: read whole, checked, and asked for once more where it does not hold. */
  async #jsonAnswer(
    request: ChatRequest,
    schema: JsonSchema,
    { call, tell, promptTokens }: Asked,
  ): Promise<Finish> {
    const pulse = new Pulse(this.#deps.clock, promptTokens);
    let usage: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    let correction: Correction | undefined;
    for (let ask = 1; ; ask++) {
      const reader = new AnswerReader(this.#backEnd.names, request.sampling.stop ?? []);
      let whole = "";
      for await (const text of this.#streams.texts(request, call, reader, correction)) {
        whole += text;
        const sign = pulse.sign();
        if (sign !== null) tell(sign);
      }
      const reason = reader.finishReason();
      usage = sumOf(usage, reader.usage(promptTokens, estimatePieceTokens(whole)));
      // What the limit cut short is no JSON; another try would be cut as well.
      const checked = reason === "length" ? { json: whole } : checkedJson(whole, schema);
      if ("json" in checked) {
        const { json: text } = checked;
        if (text !== "") tell({ type: "text-delta", text, tokens: estimatePieceTokens(text) });
        return { reason, usage };
      }
      if (ask === MAX_ASKS)
        throw badAnswer(this.#backEnd.names, "its answer is not the JSON that was asked for");
      correction = { answer: whole, fault: checked.fault };
    }
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

  #closingError(): ProviderError {
    const message = `The ${this.name} back end is being closed.`;
    return new ProviderError(this.name, "provider_unavailable", message);
  }
}

/** A chat provider over HTTP that speaks OpenAI's chat completions through an SDK. */
export function createRemoteProvider(backEnd: RemoteBackEnd, deps: RemoteDependencies): ChatProvider {
  return new RemoteProvider(backEnd, deps);
}
