import type { ErrorReport } from "../core/errors.ts";
import type { Usage } from "../providers/provider.ts";

/** What an answer is, fixed when it begins. */
export interface AnswerMeta {
  /** Id of the answer: random, given by the server. */
  readonly answer: string;
  /** Id of its message: the client's, or the server's where none was given. */
  readonly id: string;
  /** Key of the client that owns it. */
  readonly client: string;
  /** Key of the principal that is charged for its memory. */
  readonly accountKey: string;
  /** Name of the conversation, as the client knows it. */
  readonly conversation: string;
  /** Name of the command, or null for a chat turn. */
  readonly command: string | null;
}

export type FinishReason = "stop" | "length" | "cancelled" | "abandoned";

export interface Timings {
  /** Milliseconds from arrival to leaving the queue. */
  readonly queueMs: number;
  /** Milliseconds from arrival to the first text; null when there was none. */
  readonly firstTokenMs: number | null;
  readonly totalMs: number;
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

/** Something that happened at an offset of the text and belongs to the log for ever. */
export interface AnswerEvent {
  /** UTF-8 bytes of text before it. */
  readonly offset: number;
  readonly type: "fallback";
  readonly fromProvider: string;
  readonly toProvider: string;
  readonly phase: "before_first_token" | "mid_stream";
  readonly reason: string;
}

/** Where an answer stands before or between its text. Only the last value counts; it is never logged. */
export type AnswerStatus =
  | {
      readonly type: "queued";
      readonly reason: "conversation" | "engine";
      readonly position: number;
      readonly etaMs?: number;
    }
  | { readonly type: "progress"; readonly processed: number; readonly total: number };

/** The reading side of one answer: what a cursor moves over. Offsets are UTF-8 bytes at character boundaries. */
export interface AnswerReader {
  readonly meta: AnswerMeta;
  /** Bytes of text so far. */
  readonly length: number;
  readonly status: AnswerStatus | null;
  readonly events: readonly AnswerEvent[];
  /** Null while the answer runs. */
  readonly outcome: AnswerOutcome | null;
  /** Its text made room for others while it was being read: what was not read until now is gone. */
  readonly evicted: boolean;
  /**
   * Text from `from` to `to`, the end by default. Both must be boundaries: 0, {@link length} at any time, or
   * {@link boundary}'s.
   */
  read(from: number, to?: number): string;
  /** The last character boundary at or before `offset` (and not beyond the end). */
  boundary(offset: number): number;
  /** Calls `listener` after each change, synchronously; it must not throw. Returns the way to stop. */
  subscribe(listener: () => void): () => void;
}

/** The writing side: held by the one process that generates. */
export interface AnswerWriter {
  readonly reader: AnswerReader;
  /**
   * False when the text would outgrow the byte bound of an answer, or of all answers together though every finished one
   * made room; nothing is added then.
   */
  append(text: string): boolean;
  addEvent(event: Omit<AnswerEvent, "offset">): void;
  setStatus(status: AnswerStatus | null): void;
  /** Ends the answer; later calls of any method change nothing. */
  finish(outcome: AnswerOutcome): void;
}

/** Port: where answers live while they run and for ANSWER_RETENTION_SECONDS after. The only way out for generated text. */
export interface AnswerLog {
  /**
   * @throws ServiceError `overloaded` when running answers hold most of the memory for answers: the rest is for them to
   * grow.
   */
  create(meta: AnswerMeta): AnswerWriter;
  /** Undefined when there is none, it expired, or it belongs to another client: the three look alike. */
  find(client: string, answer: string): Promise<AnswerReader | undefined>;
}
