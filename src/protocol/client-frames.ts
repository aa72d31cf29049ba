/** A chat message or a command. Clients of the original service send it without `type`. */
export interface MessageFrame {
  readonly type: "message";
  readonly message: string;
  /** The client's own id of the message, unique within its conversation. A repeated frame joins the same answer. */
  readonly id?: string;
  readonly conversation?: string;
  /** Whether this answer is streamed; overrides the choice made at the upgrade. */
  readonly stream?: boolean;
  /** Whether the socket receives the reasoning of this answer. */
  readonly reasoning?: boolean;
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

/** Stops an answer. Either `answer` names it, or the `id` (and conversation) of its message. */
export interface CancelFrame {
  readonly type: "cancel";
  readonly answer?: string;
  readonly id?: string;
  readonly conversation?: string;
}

/** Acknowledges displayed text. After the first `ack` at most MAX_UNACKED_BYTES are sent beyond the last one. */
export interface AckFrame {
  readonly type: "ack";
  readonly answer: string;
  /** Offset into the answer up to which the text was displayed. */
  readonly to: number;
}

/** An answer to continue. */
export interface ResumedAnswer {
  readonly answer: string;
  /** Offset up to which the client has the text. */
  readonly from: number;
  /** Offset up to which the client has the reasoning; default 0. */
  readonly reasoning_from?: number;
}

/** Continues an earlier session. Must be the first frame of its socket. */
export interface ResumeFrame {
  readonly type: "resume";
  readonly session: string;
  /** Whether the socket receives the reasoning of these answers. */
  readonly reasoning?: boolean;
  /** Answers to continue. */
  readonly answers?: readonly ResumedAnswer[];
}

/** Replaces the token of the connection by a newer one of the same subject. */
export interface AuthRefreshFrame {
  readonly type: "auth.refresh";
  readonly token: string;
}

/** Requests the turns of a conversation and its running answers. */
export interface HistoryFrame {
  readonly type: "history";
  /** Default: the socket's own conversation. */
  readonly conversation?: string;
  /** Maximum number of turns; the newest are returned. */
  readonly limit?: number;
}

/** Requests a `pong` frame. */
export interface PingFrame {
  readonly type: "ping";
}

export type ClientFrame =
  | MessageFrame
  | CancelFrame
  | AckFrame
  | ResumeFrame
  | HistoryFrame
  | AuthRefreshFrame
  | PingFrame;

const id = { type: "string", minLength: 1, maxLength: 64 } as const;
const conversation = { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}$" } as const;
const answer = { type: "string", minLength: 1, maxLength: 64 } as const;
const offset = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;

/** Limits that a frame is checked against. */
export interface FrameLimits {
  /** Unicode characters (code points) of one message. */
  readonly maxMessageChars: number;
  /** Upper bound of `max_tokens`. */
  readonly maxOutputTokens: number;
}

/** Maximum number of answers in one `resume` frame. */
export const MAX_RESUMED_ANSWERS = 32;

/** Maximum length of a token in characters; no real token is longer. */
const MAX_TOKEN_CHARS = 16_384;

/** Maximum `limit` of a `history` frame, in turns. */
export const MAX_HISTORY_TURNS = 1000;

/** `limit` of a `history` frame that has none, in turns. */
export const DEFAULT_HISTORY_TURNS = 100;

/** One JSON Schema per frame type. A single `oneOf` over all of them would give unclear errors. */
export function clientFrameSchemas(limits: FrameLimits): Record<ClientFrame["type"], object> {
  return {
    message: {
      type: "object",
      additionalProperties: false,
      required: ["message"],
      properties: {
        type: { const: "message" },
        message: { type: "string", minLength: 1, maxLength: limits.maxMessageChars },
        id,
        conversation,
        stream: { type: "boolean" },
        reasoning: { type: "boolean" },
        max_tokens: { type: "integer", minimum: 1, maximum: limits.maxOutputTokens },
        temperature: { type: "number", minimum: 0, maximum: 2 },
        seed: { type: "integer", minimum: 0, maximum: 4_294_967_295 },
      },
    },
    cancel: {
      type: "object",
      additionalProperties: false,
      required: ["type"],
      properties: { type: { const: "cancel" }, answer, id, conversation },
    },
    ack: {
      type: "object",
      additionalProperties: false,
      required: ["type", "answer", "to"],
      properties: { type: { const: "ack" }, answer, to: offset },
    },
    history: {
      type: "object",
      additionalProperties: false,
      required: ["type"],
      properties: {
        type: { const: "history" },
        conversation,
        limit: { type: "integer", minimum: 1, maximum: MAX_HISTORY_TURNS },
      },
    },
    resume: {
      type: "object",
      additionalProperties: false,
      required: ["type", "session"],
      properties: {
        type: { const: "resume" },
        session: { type: "string", minLength: 1, maxLength: 64 },
        reasoning: { type: "boolean" },
        answers: {
          type: "array",
          maxItems: MAX_RESUMED_ANSWERS,
          items: {
            type: "object",
            additionalProperties: false,
            required: ["answer", "from"],
            properties: { answer, from: offset, reasoning_from: offset },
          },
        },
      },
    },
    "auth.refresh": {
      type: "object",
      additionalProperties: false,
      required: ["type", "token"],
      properties: {
        type: { const: "auth.refresh" },
        token: { type: "string", minLength: 1, maxLength: MAX_TOKEN_CHARS },
      },
    },
    ping: {
      type: "object",
      additionalProperties: false,
      required: ["type"],
      properties: { type: { const: "ping" } },
    },
  };
}
