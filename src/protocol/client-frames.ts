/** A chat turn or a command. The original service sent it without `type`. */
export interface MessageFrame {
  readonly type: "message";
  readonly message: string;
  /** Names the answer for this client and conversation: the same frame again joins it. */
  readonly id?: string;
  readonly conversation?: string;
  /** Overrides for this answer what the socket asked for. */
  readonly stream?: boolean;
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

/** Stops an answer, named by `answer` or by the `id` (and conversation) of its message. */
export interface CancelFrame {
  readonly type: "cancel";
  readonly answer?: string;
  readonly id?: string;
  readonly conversation?: string;
}

/** Tells how far an answer has been shown. Who sends one gets at most MAX_UNACKED_BYTES ahead of it. */
export interface AckFrame {
  readonly type: "ack";
  readonly answer: string;
  /** Offset into the answer: what was shown ends there. */
  readonly to: number;
}

/** First frame of a socket that takes up an earlier session. */
export interface ResumeFrame {
  readonly type: "resume";
  readonly session: string;
  /** Answers to go on with; `from` is the offset up to which the client has the text. */
  readonly answers?: readonly { readonly answer: string; readonly from: number }[];
}

/** A new token of the same subject, before the one before it expires. */
export interface AuthRefreshFrame {
  readonly type: "auth.refresh";
  readonly token: string;
}

/** Asks for the turns of a conversation and for its running answers. */
export interface HistoryFrame {
  readonly type: "history";
  /** The socket's own conversation where none is named. */
  readonly conversation?: string;
  /** The newest so many turns. */
  readonly limit?: number;
}

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

export interface FrameLimits {
  readonly maxMessageChars: number;
  readonly maxOutputTokens: number;
}

/** At most this many answers in one `resume`. */
export const MAX_RESUMED_ANSWERS = 32;

/** No real token is longer. */
const MAX_TOKEN_CHARS = 16_384;
/** At most this many turns in one `history`, and the number when the frame names none. */
export const MAX_HISTORY_TURNS = 1000;
export const DEFAULT_HISTORY_TURNS = 100;

/** One JSON Schema per frame type: `oneOf` over all of them would blur the errors. */
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
        answers: {
          type: "array",
          maxItems: MAX_RESUMED_ANSWERS,
          items: {
            type: "object",
            additionalProperties: false,
            required: ["answer", "from"],
            properties: { answer, from: offset },
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
