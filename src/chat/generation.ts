import type { Clock } from "../core/clock.ts";
import type { Metrics } from "../core/metrics.ts";
import {
  sumOfUsage,
  type AnswerPart,
  type AnswerSource,
  type ChatRequest,
  type FallbackPart,
  type Usage,
} from "../providers/provider.ts";
import type { AnswerWriter, ContextUse, FinishReason, Timings } from "./answer-log.ts";
import type { StopSignal } from "../core/stop-signal.ts";

/** Result of one request to a model. */
export interface Generation {
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly usage: Usage;
  /** Window of the provider that ended the generation. */
  readonly context: ContextUse;
  readonly provider: string;
  readonly model: string;
  readonly timings: Timings;
}

export interface GenerationOptions {
  readonly provider: AnswerSource;
  readonly request: ChatRequest;
  readonly signal: StopSignal;
  /** Aborts `signal`; called when the answer has reached its maximum length. */
  readonly stop: (reason: StopReason) => void;
  /** Receives status and text. */
  readonly writer: AnswerWriter;
  /** False: the text is returned at the end and not written to the log, as for answers with a JSON schema. */
  readonly streamed: boolean;
  /** `clock.now()` when the message arrived. */
  readonly arrivedAt: number;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** A reason to stop that is not a failure: the answer was cancelled or abandoned, or reached its maximum length. */
export class StopReason extends Error {
  readonly finishReason: "cancelled" | "abandoned" | "length";

  constructor(finishReason: "cancelled" | "abandoned" | "length") {
    super(finishReason);
    this.name = "StopReason";
    this.finishReason = finishReason;
  }
}

/** Writes one generation to the log and measures it. Several providers may contribute to it, one after the other. */
class GenerationRecorder {
  readonly #options: GenerationOptions;
  /** Text so far when it is not streamed; streamed text is in the log. */
  #held = "";
  /** Offset in the log at which the text of this generation begins. */
  readonly #from: number;
  /** Usage of the providers that failed before; null if none did. */
  #spent: Usage | null = null;
  /** Usage of the current provider. */
  #completionTokens = 0;
  #reasoningTokens = 0;
  /** Whether the next reasoning belongs to another request than the reasoning so far. */
  #reasonsAgain = false;
  #promptTokens = 0;
  #cachedTokens = 0;
  #state: "waiting" | "running" | "ended" = "waiting";
  #startedAt = 0;
  #firstAt: number | null = null;
  #lastAt = 0;
  #provider: string;
  #model: string;
  #contextLimit: number;
  #cutReported: boolean;

  constructor(options: GenerationOptions) {
    this.#options = options;
    this.#from = options.writer.reader.length;
    this.#provider = options.provider.name;
    const { model, contextTokens } = options.provider.describe();
    this.#model = model;
    this.#contextLimit = contextTokens;
    // The prompt of a command is not the conversation.
    this.#cutReported = options.writer.reader.meta.command !== null;
    options.metrics.requestsWaiting(1);
  }

  #start(part: Extract<AnswerPart, { type: "started" }>): void {
    const { metrics, clock, writer } = this.#options;
    if (this.#state === "waiting") {
      metrics.requestsWaiting(-1);
      metrics.requestsRunning(1);
      this.#state = "running";
    }
    if (this.#startedAt === 0) this.#startedAt = clock.now();
    this.#reasonsAgain = writer.reader.reasoning.length > 0;
    this.#provider = part.provider;
    this.#model = part.model;
    this.#promptTokens = part.promptTokens ?? 0;
    this.#cachedTokens = part.cachedTokens ?? 0;
    this.#contextLimit = part.contextTokens ?? this.#contextLimit;
    if (writer.reader.status !== null) writer.setStatus(null);
    if (part.droppedTurns === 0 || this.#cutReported) return;
    this.#cutReported = true;
    writer.addEvent({ type: "history_cut", turns: part.droppedTurns });
  }

  take(part: AnswerPart): void {
    const { writer } = this.#options;
    switch (part.type) {
      case "text-delta":
        this.#add(part.text, part.tokens);
        break;
      case "reasoning-delta":
        this.#addReasoning(part.text, part.tokens);
        break;
      case "queued":
        writer.setStatus(queuedStatus(part.position, part.etaMs));
        break;
      case "progress":
        writer.setStatus(part);
        break;
      case "started":
        this.#start(part);
        break;
      case "fallback":
        this.#fallBack(part);
    }
  }

  #add(text: string, tokens: number): void {
    const { metrics, clock, writer, streamed, arrivedAt, stop } = this.#options;
    this.#completionTokens += tokens;
    // Tokens whose text was dropped still count as used.
    if (text === "") return;
    const now = clock.now();
    if (this.#firstAt === null) {
      this.#firstAt = now;
      metrics.firstToken(this.#provider, (now - arrivedAt) / 1000);
    } else {
      metrics.interToken(this.#provider, (now - this.#lastAt) / 1000);
    }
    this.#lastAt = now;
    if (!streamed) {
      this.#held += text;
    } else if (!writer.append(text)) {
      this.#completionTokens -= tokens;
      stop(new StopReason("length"));
    }
  }

  /** Reasoning is not the first token of an answer: times are those of its text. */
  #addReasoning(text: string, tokens: number): void {
    const { writer, stop } = this.#options;
    const kept = this.#reasonsAgain ? `\n\n${text}` : text;
    this.#reasonsAgain = false;
    if (!writer.appendReasoning(kept)) {
      stop(new StopReason("length"));
      return;
    }
    this.#completionTokens += tokens;
    this.#reasoningTokens += tokens;
  }

  /** Adds up the usage of the failed provider and waits for the next one. */
  #fallBack({ fromProvider, toProvider, phase, reason }: FallbackPart): void {
    const { metrics, writer } = this.#options;
    this.#spent = this.#settle(this.#counted());
    this.#promptTokens = 0;
    this.#cachedTokens = 0;
    this.#completionTokens = 0;
    this.#reasoningTokens = 0;
    if (this.#state === "running") {
      metrics.requestsRunning(-1);
      metrics.requestsWaiting(1);
      this.#state = "waiting";
    }
    if (writer.reader.status !== null) writer.setStatus(null);
    writer.addEvent({ type: "fallback", fromProvider, toProvider, phase, reason });
  }

  end(finishReason: FinishReason, usage?: Usage): Generation {
    const { arrivedAt, clock, streamed, writer } = this.#options;
    const now = clock.now();
    this.#leave(finishReason, now);
    const used = usage ?? this.#counted();
    return {
      text: streamed ? writer.reader.read(this.#from) : this.#held,
      finishReason,
      usage: this.#settle(used),
      context: { tokens: used.promptTokens + used.completionTokens, limit: this.#contextLimit },
      provider: this.#provider,
      model: this.#model,
      timings: {
        queueMs: Math.round((this.#startedAt === 0 ? now : this.#startedAt) - arrivedAt),
        firstTokenMs: this.#firstAt === null ? null : Math.round(this.#firstAt - arrivedAt),
        totalMs: Math.round(now - arrivedAt),
      },
    };
  }

  fail(): void {
    this.#leave("error", this.#options.clock.now());
  }

  /** Usage of the current provider as counted here. */
  #counted(): Usage {
    const usage: Usage = {
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      cachedTokens: this.#cachedTokens,
    };
    return this.#reasoningTokens > 0 ? { ...usage, reasoningTokens: this.#reasoningTokens } : usage;
  }

  /** Reports the usage of the current provider to the metrics. @returns the usage of all providers together */
  #settle(used: Usage): Usage {
    const { metrics } = this.#options;
    metrics.tokens(this.#provider, "prompt", used.promptTokens);
    metrics.tokens(this.#provider, "cached", used.cachedTokens);
    metrics.tokens(this.#provider, "completion", used.completionTokens);
    if (used.reasoningTokens) metrics.tokens(this.#provider, "reasoning", used.reasoningTokens);
    return this.#spent === null ? used : sumOfUsage(this.#spent, used);
  }

  #leave(outcome: string, now: number): void {
    const { metrics, arrivedAt } = this.#options;
    if (this.#state === "waiting") metrics.requestsWaiting(-1);
    if (this.#state === "running") metrics.requestsRunning(-1);
    this.#state = "ended";
    metrics.answerFinished(this.#provider, outcome, (now - arrivedAt) / 1000);
  }
}

/**
 * Sends the request to the provider and appends the generated text to the answer's log. A {@link StopReason} as abort
 * reason of the signal ends the generation with the text so far; any other failure is thrown.
 */
export async function generate(options: GenerationOptions): Promise<Generation> {
  const { provider, request, signal } = options;
  const recorder = new GenerationRecorder(options);
  try {
    const onPart = (part: AnswerPart): void => recorder.take(part);
    const { reason, usage } = await provider.stream(request, { signal, onPart });
    return recorder.end(reason, usage);
  } catch (error) {
    if (signal.aborted && signal.reason instanceof StopReason)
      return recorder.end(signal.reason.finishReason);
    recorder.fail();
    throw error;
  }
}

function queuedStatus(position: number, etaMs: number | undefined) {
  return { type: "queued", reason: "engine", position, ...(etaMs !== undefined && { etaMs }) } as const;
}
