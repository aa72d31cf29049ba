/** What happens when a limit is met; `docs/operations.md` prints it. */
interface Limit {
  /** The environment variable that sets it. */
  readonly setting: string;
  readonly first: string;
  readonly repeated: string;
  /** Whether RATE_LIMITS=off turns it off. */
  readonly rate?: true;
}

const OVERLOADED = "1013 with `retry_after_ms` to the new socket";
const RATE_LIMITED = "`rate_limited` with `retry_after_ms`; the frame has no effect";
const CLOSED = "20 within 10 s: 4429";

/**
 * Every limit that a client can meet, in one table; the keys are the labels of `chat_limit_hits_total`. A test holds
 * `docs/operations.md` to it.
 */
export const limits = {
  connections: { setting: "MAX_CONNECTIONS", first: OVERLOADED, repeated: "the same" },
  address_connections: {
    setting: "MAX_CONNECTIONS_PER_ADDRESS",
    first: OVERLOADED,
    repeated: "the same",
    rate: true,
  },
  upgrade_rate: {
    setting: "MAX_UPGRADES_PER_MINUTE",
    first: OVERLOADED,
    repeated: "after as many refusals within a minute: HTTP 503 with `Retry-After`",
    rate: true,
  },
  client_connections: {
    setting: "MAX_CONNECTIONS_PER_CLIENT",
    first: `${OVERLOADED}, or with \`ON_CLIENT_LIMIT=replace\` 4409 to the oldest`,
    repeated: "the same",
  },
  frame_rate: { setting: "MAX_FRAMES_PER_SECOND", first: RATE_LIMITED, repeated: CLOSED, rate: true },
  ack_rate: {
    setting: "MAX_ACKS_PER_SECOND",
    first: "`rate_limited` with `retry_after_ms`; its offset still counts",
    repeated: CLOSED,
    rate: true,
  },
  message_rate: { setting: "MAX_MESSAGES_PER_MINUTE", first: RATE_LIMITED, repeated: CLOSED, rate: true },
  address_message_rate: {
    setting: "MAX_MESSAGES_PER_MINUTE_PER_ADDRESS",
    first: RATE_LIMITED,
    repeated: CLOSED,
    rate: true,
  },
  replay_rate: {
    setting: "MAX_REPLAY_BYTES_PER_SECOND",
    first: "old text waits for its turn",
    repeated: "the same",
    rate: true,
  },
  frame_bytes: { setting: "MAX_FRAME_BYTES", first: "`frame_too_big`, then 1009", repeated: "the same" },
  bad_frames: { setting: "MAX_BAD_FRAMES", first: "1008", repeated: "the same" },
  pending_messages: {
    setting: "MAX_PENDING_MESSAGES",
    first: "`busy` with `retry_after_ms`",
    repeated: "the same",
  },
  active_answers: {
    setting: "MAX_ACTIVE_ANSWERS_PER_CLIENT",
    first: "`busy` with `retry_after_ms`",
    repeated: "the same",
  },
  conversations: {
    setting: "MAX_CONVERSATIONS_PER_CLIENT",
    first: "the client's least recently used one is forgotten",
    repeated: "the same",
  },
  buffered_bytes: {
    setting: "MAX_BUFFERED_MB",
    first: "above 80 %: `overloaded` with `retry_after_ms` for new messages",
    repeated: "1013 to the socket that holds most; it can resume",
  },
} as const satisfies Record<string, Limit>;

/** Name of a limit in {@link limits}. */
export type LimitName = keyof typeof limits;
