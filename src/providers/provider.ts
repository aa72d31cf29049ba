import type { Turn } from "../core/fit-prompt.ts";
import type { Principal } from "../core/principal.ts";
import type { Sampling } from "../core/sampling.ts";
import type { StopSignal } from "../core/stop-signal.ts";

export type { Sampling };

/** A JSON Schema of the subset that node-llama-cpp's grammar and `response_format` share. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One request for an answer, before it is fitted to a model's window: each provider does that itself. */
export interface ChatRequest {
  /** The setting SYSTEM_PROMPT, or a command's instruction. */
  readonly system: string;
  /** The client's context, or null. */
  readonly context: string | null;
  /** All turns, oldest first; the last is the user's. */
  readonly turns: readonly Turn[];
  /** Tokens the answer may have. */
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** When present the answer is JSON that satisfies it. */
  readonly jsonSchema?: JsonSchema;
  readonly principal: Principal;
  /** Key of the conversation, unique over all clients: affinity of KV. */
  readonly conversation: string;
  /** Text that another provider has already produced for this answer; the answer goes on after it. */
  readonly continueFrom?: string;
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens that were not processed again. */
  readonly cachedTokens: number;
  /** Set where the provider did not count: prompt or completion tokens are then bytes / 3. */
  readonly estimated?: boolean;
}

export type StreamPart =
  /** Waits for a slot. `position` 1 = next. Sent at once when it waits, then on change, at most twice a second. */
  | { readonly type: "queued"; readonly position: number; readonly etaMs?: number }
  /**
   * Prompt tokens processed so far, for prompts that take over a second. A remote provider sends it, with
   * `processed` = `total`, at most once a second as a sign of life while its model reasons or writes JSON.
   */
  | { readonly type: "progress"; readonly processed: number; readonly total: number }
  /** Left the queue. Exactly once, before the first text. Token counts where known. */
  | {
      readonly type: "started";
      readonly provider: string;
      readonly model: string;
      readonly droppedTurns: number;
      readonly promptTokens?: number;
      readonly cachedTokens?: number;
    }
  /** Whole characters only; `tokens` is how many tokens they took (an estimate for remote providers). */
  | { readonly type: "text-delta"; readonly text: string; readonly tokens: number };

/** How a whole answer ended. */
export interface Finish {
  readonly reason: "stop" | "length";
  readonly usage: Usage;
}

/** The answer goes on with another provider, or with the same one after its restart; its text so far stays. */
export interface FallbackPart {
  readonly type: "fallback";
  readonly fromProvider: string;
  readonly toProvider: string;
  /** Whether text of this answer was passed on before. */
  readonly phase: "before_first_token" | "mid_stream";
  /** For people; safe to show. */
  readonly reason: string;
}

/**
 * A part of an answer that several providers may have written. After a `fallback` another `queued`, `progress` and
 * `started` may come, even after text; the {@link Finish} then counts what came since the last `fallback`.
 */
export type AnswerPart = StreamPart | FallbackPart;

export interface StreamOptions<Part> {
  /** Stops the work. */
  readonly signal: StopSignal;
  /** Takes the parts, one after the other, in plain calls: a promise for each token would cost more than the token. */
  readonly onPart: (part: Part) => void;
}

/** What all requests of a client will begin with. */
export type PromptBeginning = Pick<ChatRequest, "system" | "context" | "principal">;

/** A client that is gone, or one conversation (as in {@link ChatRequest}) that is. */
export type Forgotten = { readonly client: string; readonly conversation?: string };

export interface ProviderHealth {
  readonly state: "ready" | "starting" | "degraded" | "down";
  /** For people; empty when ready. */
  readonly reason: string;
}

/** A provider that answers. Failures are `ProviderError`s. */
export interface ChatProvider {
  readonly name: "local" | "openai" | "huggingface" | "echo";
  /** Whether the text of a request leaves this machine. */
  readonly remote: boolean;
  /**
   * How `continueFrom` is gone on from. `prefilled`: the model goes on with its own turn, to the letter. `instructed`
   * (the default): it is told to, and may begin with a repetition of the end.
   */
  readonly continuation?: "prefilled" | "instructed";
  /**
   * Hands an answer over, part by part, and fulfils once it is whole. When `signal` aborts, the work behind it stops, no
   * further part comes, and the promise is rejected with the signal's reason. What `onPart` throws ends the answer, and no
   * other one, and rejects as well.
   */
  stream(request: ChatRequest, options: StreamOptions<StreamPart>): Promise<Finish>;
  /** Makes the next answers to a client begin sooner, where the provider can; may do nothing. Never throws. */
  prepare?(beginning: PromptBeginning): void;
  /**
   * Drops what is kept here of a client or of a conversation to answer sooner. Only for a provider that keeps something
   * on this machine. Not waited for; never throws.
   */
  forget?(gone: Forgotten): void;
  describe(): { readonly model: string; readonly contextTokens: number };
  /** Exact on the local provider; bytes / 3 on remote ones. */
  countTokens(text: string): Promise<number>;
  health(): ProviderHealth;
  /** Tells of each change of `health`, where the provider can; returns the way to stop. */
  onHealthChange?(listener: (health: ProviderHealth) => void): () => void;
  close(): Promise<void>;
}

/** What the chat layer asks for answers: a chain of providers, or a single one. Failures are `ServiceError`s. */
export interface AnswerSource extends Pick<ChatProvider, "prepare" | "forget" | "describe" | "countTokens"> {
  /** Of the provider that is asked first. */
  readonly name: string;
  stream(request: ChatRequest, options: StreamOptions<AnswerPart>): Promise<Finish>;
}
