import type { Turn } from "../core/fit-prompt.ts";
import type { Principal } from "../core/principal.ts";
import type { Sampling } from "../core/sampling.ts";
import type { StopSignal } from "../core/stop-signal.ts";

export type { Sampling };

/** A JSON Schema in the subset supported by both node-llama-cpp's grammars and `response_format`. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One request for an answer. Each provider fits it to the window of its model itself. */
export interface ChatRequest {
  /** SYSTEM_PROMPT, or the instruction of a command. */
  readonly system: string;
  /** The context set by the client; null if there is none. */
  readonly context: string | null;
  /** All turns, oldest first. The last turn is the user's. */
  readonly turns: readonly Turn[];
  /** Maximum number of tokens of the answer. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** If present, the answer is JSON that satisfies this schema. */
  readonly jsonSchema?: JsonSchema;
  readonly principal: Principal;
  /** Key of the conversation, unique over all clients. Used to find its KV state. */
  readonly conversation: string;
  /** Text of this answer that another provider has already produced. The answer continues after it. */
  readonly continueFrom?: string;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that were reused instead of processed. */
  readonly cachedTokens: number;
  /** Completion tokens that were reasoning; absent if there were none. */
  readonly reasoningTokens?: number;
  /** Set if the provider did not count, or if its count cannot be right: prompt or completion are then estimated. */
  readonly estimated?: boolean;
}

export type StreamPart =
  /** The request waits for a slot; `position` 1 is next. Sent at once and on changes, at most twice a second. */
  | { readonly type: "queued"; readonly position: number; readonly etaMs?: number }
  /**
   * Prompt tokens processed so far, for prompts that take over a second. A remote provider sends it with
   * `processed` = `total` as a keepalive, at most once a second, while its model reasons or writes JSON.
   */
  | { readonly type: "progress"; readonly processed: number; readonly total: number }
  /** The request left the queue. Sent exactly once, before the first text. Token counts are set if known. */
  | {
      readonly type: "started";
      readonly provider: string;
      readonly model: string;
      /** Oldest turns of the request that were left out because the window has no space for them. */
      readonly droppedTurns: number;
      /** Size of the model's window in tokens. Absent: as in `describe`. */
      readonly contextTokens?: number;
      readonly promptTokens?: number;
      readonly cachedTokens?: number;
    }
  /**
   * Reasoning of the model. Not part of the answer, but counted in its tokens. Whole characters only; usually before all
   * text.
   */
  | { readonly type: "reasoning-delta"; readonly text: string; readonly tokens: number }
  /** Whole characters only. `tokens` is the number of tokens of the text (an estimate for remote providers). */
  | { readonly type: "text-delta"; readonly text: string; readonly tokens: number };

/** Sum of the usage of two requests for one answer. */
export function sumOfUsage(a: Usage, b: Usage): Usage {
  const reasoningTokens = (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0);
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    ...(reasoningTokens > 0 && { reasoningTokens }),
    ...((a.estimated === true || b.estimated === true) && { estimated: true }),
  };
}

/** End of a whole answer. */
export interface Finish {
  readonly reason: "stop" | "length";
  readonly usage: Usage;
}

/** Another provider, or the same one after its restart, continues the answer. The text so far stays valid. */
export interface FallbackPart {
  readonly type: "fallback";
  readonly fromProvider: string;
  readonly toProvider: string;
  /** Whether text of this answer had been passed on. */
  readonly phase: "before_first_token" | "mid_stream";
  /** Readable reason that clients see. */
  readonly reason: string;
}

/**
 * A part of an answer that may come from several providers. A `fallback` may be followed by further `queued`,
 * `progress` and `started` parts, even after text. The {@link Finish} then counts the tokens since the last `fallback`.
 */
export type AnswerPart = StreamPart | FallbackPart;

export interface StreamOptions<Part> {
  /** Cancels the request. */
  readonly signal: StopSignal;
  /** Receives the parts in order, in synchronous calls: a promise for each token would cost more than the token. */
  readonly onPart: (part: Part) => void;
  /**
   * Receives numbers of tokens that were used in addition to the prompt and the text delivered, such as those of a JSON
   * answer that was rejected. They are part of the usage if the answer finishes.
   */
  readonly onUndelivered?: (tokens: number) => void;
}

/** The principal that a token count is charged to, as for an answer, and the signal that stops it. */
export interface CountOptions {
  readonly principal: Principal;
  readonly signal: StopSignal;
}

/** The beginning that all requests of a client share. */
export type PromptBeginning = Pick<ChatRequest, "system" | "context" | "principal">;

/** A deleted client, or one deleted conversation of it (key as in {@link ChatRequest}). */
export type Forgotten = { readonly client: string; readonly conversation?: string };

export interface ProviderHealth {
  readonly state: "ready" | "starting" | "degraded" | "down";
  /** Readable reason; empty if ready. */
  readonly reason: string;
}

/** A provider of answers. Failures are `ProviderError`s. */
export interface ChatProvider {
  readonly name: "local" | "openai" | "huggingface" | "echo";
  /** Whether the text of a request leaves this machine. */
  readonly remote: boolean;
  /**
   * How an answer is continued from `continueFrom`. `prefilled`: the model continues its own turn exactly. `instructed`
   * (the default): the model is instructed to continue, and may repeat the end of the text first.
   */
  readonly continuation?: "prefilled" | "instructed";
  /**
   * Delivers an answer part by part and resolves when it is complete. When `signal` aborts, the work stops, no further
   * part is delivered, and the promise rejects with the signal's reason. If `onPart` throws, this answer ends and the
   * promise rejects with that error; other answers are not affected.
   */
  stream(request: ChatRequest, options: StreamOptions<StreamPart>): Promise<Finish>;
  /** Prepares for requests with this beginning, so that their answers start sooner. May do nothing. Never throws. */
  prepare?(beginning: PromptBeginning): void;
  /**
   * Deletes the cached state of a client or a conversation. Only for providers that cache state on this machine. Does
   * not wait for the deletion; never throws.
   */
  forget?(target: Forgotten): void;
  describe(): { readonly model: string; readonly contextTokens: number };
  /**
   * Number of tokens of a text: exact for the local provider, bytes / 3 for remote providers. A number above the window
   * is a lower bound, as the rest of the text is not counted. Rejects with the signal's reason when it aborts.
   */
  countTokens(text: string, options: CountOptions): Promise<number>;
  health(): ProviderHealth;
  /**
   * Calls `listener` on each change of `health`. Absent if the provider detects none.
   * @returns a function to unsubscribe
   */
  onHealthChange?(listener: (health: ProviderHealth) => void): () => void;
  close(): Promise<void>;
}

/** Source of answers for the chat layer: a chain of providers, or a single one. Failures are `ServiceError`s. */
export interface AnswerSource extends Pick<ChatProvider, "prepare" | "forget" | "describe" | "countTokens"> {
  /** Name of the provider that is tried first. */
  readonly name: string;
  stream(request: ChatRequest, options: StreamOptions<AnswerPart>): Promise<Finish>;
}
