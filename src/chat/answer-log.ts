import type { ErrorReport } from "../core/errors.ts";
import type { Usage } from "../providers/provider.ts";

/** Identity of an answer; fixed when the answer is created. */
export interface AnswerMeta {
  /** Id of the answer, randomly assigned by the server. */
  readonly answer: string;
  /** Id of the message: sent by the client, or else assigned by the server. */
  readonly id: string;
  /** Key of the client that owns the answer. */
  readonly client: string;
  /** Key of the principal that is charged for its memory. */
  readonly accountKey: string;
  /** Name of the conversation within the client. */
  readonly conversation: string;
  /** Name of the command, or null for a chat turn. */
  readonly command: string | null;
}

export type FinishReason = "stop" | "length" | "cancelled" | "abandoned";

export interface Timings {
  /** Milliseconds from the arrival of the message to leaving the queue. */
  readonly queueMs: number;
  /** Milliseconds from the arrival to the first text; null when the answer has no text. */
  readonly firstTokenMs: number | null;
  /** Milliseconds from the arrival to the end of the answer. */
  readonly totalMs: number;
}

/** How full the model's window was at the end of an answer. */
export interface ContextUse {
  /** Tokens of prompt and answer. */
  readonly tokens: number;
  /** Size of the window in tokens. */
  readonly limit: number;
}

export interface CommandResult {
  readonly status: "success" | "error";
  readonly [field: string]: unknown;
}

/** How an answer ended. */
export type AnswerOutcome =
  | {
      readonly type: "message";
      readonly finishReason: FinishReason;
      readonly usage: Usage;
      readonly context: ContextUse;
      readonly provider: string;
      readonly model: string;
      readonly timings: Timings;
    }
  | {
      readonly type: "command";
      readonly command: string;
      readonly result: CommandResult;
      readonly usage?: Usage;
      readonly finishReason?: FinishReason;
    }
  | { readonly type: "error"; readonly error: ErrorReport };

/** Another provider continues the answer. */
export interface FallbackEvent {
  readonly type: "fallback";
  readonly fromProvider: string;
  readonly toProvider: string;
  readonly phase: "before_first_token" | "mid_stream";
  readonly reason: string;
}

/** The model's window has no space for the oldest turns of the conversation. At most one in an answer. */
export interface HistoryCutEvent {
  readonly type: "history_cut";
  /** Number of turns that were left out; at least 1. */
  readonly turns: number;
}

export type AnswerEventContent = FallbackEvent | HistoryCutEvent;

/** A permanent entry of the log. `offset`: UTF-8 bytes of text before it. */
export type AnswerEvent = AnswerEventContent & { readonly offset: number };

/** Progress of an answer before or between its text. Each value replaces the previous one; none is kept in the log. */
export type AnswerStatus =
  | {
      readonly type: "queued";
      readonly reason: "conversation" | "engine";
      readonly position: number;
      readonly etaMs?: number;
    }
  | { readonly type: "progress"; readonly processed: number; readonly total: number };

/** The reasoning before an answer. It has offsets of its own, in UTF-8 bytes; read it like the text. */
export interface ReasoningReader {
  /** Bytes so far; 0 if the model did not reason. */
  readonly length: number;
  read(from: number, to?: number): string;
  boundary(offset: number): number;
}

/** The reading side of one answer; cursors read from it. Offsets are UTF-8 bytes at character boundaries. */
export interface AnswerReader {
  readonly meta: AnswerMeta;
  /** Bytes of text so far. */
  readonly length: number;
  readonly reasoning: ReasoningReader;
  readonly status: AnswerStatus | null;
  readonly events: readonly AnswerEvent[];
  /** Null while the answer waits or runs. */
  readonly outcome: AnswerOutcome | null;
  /** Whether the text was evicted to free memory; text that was not read before is lost. */
  readonly evicted: boolean;
  /**
   * Text from `from` to `to`, by default to the end. Both must be character boundaries: 0, a past or present value of
   * {@link length}, or a result of {@link boundary}.
   */
  read(from: number, to?: number): string;
  /** The last character boundary at or before `offset`, at most {@link length}. */
  boundary(offset: number): number;
  /** Calls `listener` synchronously after each change; it must not throw. The returned function unsubscribes. */
  subscribe(listener: () => void): () => void;
}

/** The writing side of one answer, held by the process that generates it. */
export interface AnswerWriter {
  readonly reader: AnswerReader;
  /**
   * Adds text at the end. Returns false, and adds nothing, when the text would exceed the byte limit of one answer, or
   * that of all answers even after every finished one was evicted.
   */
  append(text: string): boolean;
  /** Adds reasoning, within the same limits as text. It is never part of the text. */
  appendReasoning(text: string): boolean;
  addEvent(event: AnswerEventContent): void;
  setStatus(status: AnswerStatus | null): void;
  /** Ends the answer; later calls of any method have no effect. */
  finish(outcome: AnswerOutcome): void;
}

/**
 * Port: keeps answers while they run and for ANSWER_RETENTION_SECONDS afterwards. All generated text reaches clients
 * through it.
 */
export interface AnswerLog {
  /**
   * Adds a running answer. `messageBytes`: memory of the message that it answers, counted until the answer ends.
   *
   * @throws ServiceError `overloaded` when running answers hold most of the memory for answers, as the rest is reserved
   *   for their growth; or when the messages of the account hold its share of the memory for messages
   */
  create(meta: AnswerMeta, messageBytes?: number): AnswerWriter;
  /** Undefined when the answer is unknown, has expired or belongs to another client; the cases look the same. */
  find(client: string, answer: string): Promise<AnswerReader | undefined>;
}
