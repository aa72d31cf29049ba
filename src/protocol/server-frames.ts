import type { ErrorCode } from "../core/error-codes.ts";

export interface WireUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** Prompt tokens that were not processed again. */
  readonly cached_tokens: number;
  /** Set where the provider did not count: prompt or completion tokens are then bytes / 3. */
  readonly estimated?: true;
}

export interface WireTimings {
  /** From arrival to leaving the queue. */
  readonly queue_ms: number;
  /** From arrival to the first text; absent when there was none. */
  readonly ttft_ms?: number;
  readonly total_ms: number;
}

export type FinishReason = "stop" | "length" | "cancelled" | "abandoned";

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
  /** Secret: whoever holds it may resume this session. */
  readonly session: string;
  /** Public id of the client. */
  readonly client: string;
  /** Null while no provider could be started. */
  readonly provider: string | null;
  readonly model: string | null;
  /** Whether text may be sent to a provider outside this machine. */
  readonly text_may_leave: boolean;
  readonly limits: WireLimits;
}

export interface ResumedFrame {
  readonly type: "system";
  readonly event: "resumed";
  readonly message: string;
  readonly session: string;
  readonly client: string;
}

/** Answers `auth.refresh`. */
export interface AuthRefreshedFrame {
  readonly type: "system";
  readonly event: "auth_refreshed";
  readonly message: string;
  /** Seconds since the epoch at which the new token expires. */
  readonly expires_at: number;
}

export interface NoticeFrame {
  readonly type: "system";
  readonly event: "draining" | "provider_changed" | "provider_degraded" | "provider_recovered";
  readonly message: string;
}

/** Answers a `history` frame, on any socket. */
export interface HistoryReplyFrame {
  readonly type: "history";
  readonly conversation: string;
  /** Oldest first; older ones are left out when they are too many or too long. */
  readonly turns: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  /** Answers that run or wait; `length` is the offset up to which there is text. */
  readonly running: readonly { readonly answer: string; readonly id: string; readonly length: number }[];
}

export interface TokenFrame {
  readonly type: "token";
  readonly id: string;
  readonly answer: string;
  readonly content: string;
  /** Offsets into the answer, opaque to clients (UTF-8 bytes, always at a character boundary). */
  readonly from: number;
  readonly to: number;
}

export interface QueuedFrame {
  readonly type: "queued";
  readonly id: string;
  readonly answer: string;
  /** `conversation`: behind its own earlier messages; `engine`: waiting for a slot. */
  readonly reason: "conversation" | "engine";
  /** 1 = next; may rise. */
  readonly position: number;
  readonly eta_ms?: number;
}

export interface ProgressFrame {
  readonly type: "progress";
  readonly id: string;
  readonly answer: string;
  /** Prompt tokens. */
  readonly processed: number;
  readonly total: number;
}

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

/** Ends a chat answer: the whole text once more. */
export interface MessageEndFrame {
  readonly type: "message";
  readonly content: string;
  readonly id: string;
  readonly answer: string;
  readonly conversation: string;
  readonly finish_reason: FinishReason;
  readonly usage: WireUsage;
  readonly provider: string;
  readonly model: string;
  readonly timings: WireTimings;
}

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
  /** Milliseconds from now after which no socket is left. */
  readonly deadline_ms: number;
  /** False: what runs ends with this process, so stay until your answer ends and reconnect after 1012. */
  readonly resumable: boolean;
}

export interface PongFrame {
  readonly type: "pong";
}

export type ServerFrame =
  | WelcomeFrame
  | ResumedFrame
  | AuthRefreshedFrame
  | NoticeFrame
  | HistoryReplyFrame
  | TokenFrame
  | QueuedFrame
  | ProgressFrame
  | FallbackFrame
  | MessageEndFrame
  | CommandResponseFrame
  | ErrorFrame
  | GoawayFrame
  | PongFrame;

export type ServerFrameType = ServerFrame["type"];
