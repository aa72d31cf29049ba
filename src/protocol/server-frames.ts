import type { ErrorCode } from "../core/error-codes.ts";

/** Tokens of one answer. */
export interface WireUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** Prompt tokens that were reused from a cache instead of being processed. */
  readonly cached_tokens: number;
  /** Completion tokens that were reasoning and not text of the answer; absent if there were none. */
  readonly reasoning_tokens?: number;
  /** Set if the provider did not report prompt or completion tokens: they are then estimated as bytes / 3. */
  readonly estimated?: true;
}

/** Tokens of a chat answer. */
export interface WireMessageUsage extends WireUsage {
  /** Tokens of prompt and answer in the window of the model that ended the answer. */
  readonly context_tokens: number;
  /** Size of that window in tokens. */
  readonly context_limit: number;
}

/** Milliseconds since the message arrived. */
export interface WireTimings {
  /** Until the message left the queue. */
  readonly queue_ms: number;
  /** Until the first text; absent if there was none. */
  readonly ttft_ms?: number;
  readonly total_ms: number;
}

/** Why a chat answer ended; `abandoned`: no client read it for ABANDON_SECONDS. */
export type FinishReason = "stop" | "length" | "cancelled" | "abandoned";

/** Limits that a client can respect in advance. */
export interface WireLimits {
  readonly max_frame_bytes: number;
  readonly max_message_chars: number;
  readonly max_output_tokens: number;
  readonly max_pending_messages: number;
  readonly max_active_answers: number;
  readonly max_conversations: number;
}

/** The first frame of every socket. */
export interface WelcomeFrame {
  readonly type: "system";
  readonly event: "welcome";
  readonly message: string;
  /** Secret of the session: a client that presents it may resume the session. */
  readonly session: string;
  /** Public id of the client. */
  readonly client: string;
  /** Null if no provider is available. */
  readonly provider: string | null;
  readonly model: string | null;
  /** Whether text may be sent to a provider outside this machine. */
  readonly text_may_leave: boolean;
  readonly limits: WireLimits;
}

/** Reply to `resume`. */
export interface ResumedFrame {
  readonly type: "system";
  readonly event: "resumed";
  readonly message: string;
  readonly session: string;
  readonly client: string;
}

/** Reply to `auth.refresh`. */
export interface AuthRefreshedFrame {
  readonly type: "system";
  readonly event: "auth_refreshed";
  readonly message: string;
  /** Seconds since the epoch at which the new token expires. */
  readonly expires_at: number;
}

/** A change that concerns all sockets, or the answers of one. */
export interface NoticeFrame {
  readonly type: "system";
  readonly event:
    | "draining"
    | "provider_changed"
    | "provider_degraded"
    | "provider_recovered"
    | "context_dropped";
  readonly message: string;
}

/**
 * The oldest turns of the conversation were left out of a prompt, because the model's window has no space for them. At
 * most once in an answer, and only where the answer is streamed.
 */
export interface HistoryCutFrame {
  readonly type: "system";
  readonly event: "history_cut";
  readonly message: string;
  readonly id: string;
  readonly answer: string;
  /** Number of turns that were left out; at least 1. */
  readonly turns: number;
}

/** Reply to a `history` frame, on any socket. */
export interface HistoryReplyFrame {
  readonly type: "history";
  readonly conversation: string;
  /** Oldest first. The oldest turns are left out if there are too many or they are too long. */
  readonly turns: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  /** Running and queued answers; `length` is the offset up to which there is text. */
  readonly running: readonly { readonly answer: string; readonly id: string; readonly length: number }[];
}

/** A piece of an answer's text. */
export interface TokenFrame {
  readonly type: "token";
  readonly id: string;
  readonly answer: string;
  readonly content: string;
  /** Offsets into the answer, opaque to clients (UTF-8 bytes, always at a character boundary). */
  readonly from: number;
  readonly to: number;
}

/** A piece of the reasoning before an answer; only for sockets that requested it. Not part of the answer's text. */
export interface ReasoningFrame {
  readonly type: "reasoning";
  readonly id: string;
  readonly answer: string;
  readonly content: string;
  /** Offsets into the reasoning, like those of {@link TokenFrame} into the text. */
  readonly from: number;
  readonly to: number;
}

/** Place of an answer in a queue. */
export interface QueuedFrame {
  readonly type: "queued";
  readonly id: string;
  readonly answer: string;
  /** `conversation`: waits for earlier messages of its conversation; `engine`: waits for a slot. */
  readonly reason: "conversation" | "engine";
  /** 1 is next; may rise. */
  readonly position: number;
  /** Estimated milliseconds until the answer starts. */
  readonly eta_ms?: number;
}

/** Progress of prompt processing. */
export interface ProgressFrame {
  readonly type: "progress";
  readonly id: string;
  readonly answer: string;
  /** Prompt tokens processed so far, and in all. */
  readonly processed: number;
  readonly total: number;
}

/** Another provider continues the answer. */
export interface FallbackFrame {
  readonly type: "fallback";
  readonly id: string;
  readonly answer: string;
  readonly from_provider: string;
  readonly to_provider: string;
  /** Offset into the answer. */
  readonly at: number;
  readonly phase: "before_first_token" | "mid_stream";
  readonly reason: string;
}

/** Ends a chat answer; holds its complete text. */
export interface MessageEndFrame {
  readonly type: "message";
  readonly content: string;
  readonly id: string;
  readonly answer: string;
  readonly conversation: string;
  readonly finish_reason: FinishReason;
  readonly usage: WireMessageUsage;
  readonly provider: string;
  readonly model: string;
  readonly timings: WireTimings;
}

/** Result of a command; the other fields depend on the command. */
export interface CommandResult {
  readonly status: "success" | "error";
  readonly [field: string]: unknown;
}

/** Ends a command. */
export interface CommandResponseFrame {
  readonly type: "command_response";
  readonly command: string;
  readonly result: CommandResult;
  readonly id: string;
  readonly answer: string;
  readonly conversation: string;
  readonly usage?: WireUsage;
  readonly finish_reason?: FinishReason;
}

/** A refused frame or a failed answer. */
export interface ErrorFrame {
  readonly type: "error";
  readonly message: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retry_after_ms?: number;
  readonly id?: string;
  readonly answer?: string;
}

/** The server is about to stop. */
export interface GoawayFrame {
  readonly type: "goaway";
  /** `restart`: the process ends. */
  readonly reason: "restart";
  /** Milliseconds until the last socket is closed. */
  readonly deadline_ms: number;
  /** False: answers end with this process. Stay until your answer ends, then reconnect after 1012. */
  readonly resumable: boolean;
}

/** Reply to `ping`. */
export interface PongFrame {
  readonly type: "pong";
}

export type ServerFrame =
  | WelcomeFrame
  | ResumedFrame
  | AuthRefreshedFrame
  | NoticeFrame
  | HistoryCutFrame
  | HistoryReplyFrame
  | TokenFrame
  | ReasoningFrame
  | QueuedFrame
  | ProgressFrame
  | FallbackFrame
  | MessageEndFrame
  | CommandResponseFrame
  | ErrorFrame
  | GoawayFrame
  | PongFrame;

export type ServerFrameType = ServerFrame["type"];
