/** One limit, as documented in `docs/operations.md`. */
interface Limit {
  /** The environment variable that sets it. */
  readonly setting: string;
  /** Effect of the first breach, in Markdown. */
  readonly first: string;
  /** Effect of repeated breaches, in Markdown. */
  readonly repeated: string;
  /** Whether RATE_LIMITS=off disables it. */
  readonly rate?: true;
}

const OVERLOADED = "the new socket is closed with 1013 and `retry_after_ms`";
const RATE_LIMITED = "`rate_limited` with `retry_after_ms`; the frame has no effect";
const CLOSED = "20 breaches within 10 s close the socket with 4429";

/**
 * Every limit that a client can reach. The keys are the labels of `chat_limit_hits_total`. A test compares this table
 * with `docs/operations.md`.
 */
export const limits = {
  connections: { setting: "MAX_CONNECTIONS", first: OVERLOADED, repeated: "the same" },
  address_connections: {
    setting: "MAX_CONNECTIONS_PER_ADDRESS",
    first: OVERLOADED,
    repeated: "the same",
    rate: true,
  },
  http_connections: {
    setting: "MAX_HTTP_CONNECTIONS",
    first: "the new connection is closed without a reply",
    repeated: "the same",
  },
  http_requests: {
    setting: "MAX_HTTP_REQUESTS_PER_MINUTE",
    first: "HTTP 429 with `Retry-After`, and the connection is closed",
    repeated: "the same",
    rate: true,
  },
  http_connects: {
    setting: "MAX_HTTP_REQUESTS_PER_MINUTE",
    first:
      "above it and twice `MAX_UPGRADES_PER_MINUTE`, or a quarter of `MAX_HTTP_CONNECTIONS` at once, new connections are closed without a reply",
    repeated: "the same",
    rate: true,
  },
  descriptors: {
    setting: "ulimit -n",
    first: "above 95 %, new sockets are closed with 1013 and `retry_after_ms`; one line in the log",
    repeated: "when full, new connections are closed without a reply",
  },
  upgrade_rate: {
    setting: "MAX_UPGRADES_PER_MINUTE",
    first: OVERLOADED,
    repeated: "after that many refusals within a minute, HTTP 503 with `Retry-After`",
    rate: true,
  },
  client_connections: {
    setting: "MAX_CONNECTIONS_PER_CLIENT",
    first: `${OVERLOADED}; with \`ON_CLIENT_LIMIT=replace\` the oldest one is closed with 4409 instead`,
    repeated: "the same",
  },
  frame_rate: { setting: "MAX_FRAMES_PER_SECOND", first: RATE_LIMITED, repeated: CLOSED, rate: true },
  ack_rate: {
    setting: "MAX_ACKS_PER_SECOND",
    first: "`rate_limited` with `retry_after_ms`; the offset is still applied",
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
    first: "histories, replayed text and results of commands are delayed",
    repeated: "a history that waits for 15 s gets `rate_limited` with `retry_after_ms`",
    rate: true,
  },
  frame_bytes: {
    setting: "MAX_FRAME_BYTES",
    first: "`frame_too_big`, then the socket is closed with 1009",
    repeated: "the same",
  },
  bad_frames: { setting: "MAX_BAD_FRAMES", first: "the socket is closed with 1008", repeated: "the same" },
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
    first: "the client's least recently used conversation is evicted",
    repeated: "the same",
  },
  buffered_bytes: {
    setting: "MAX_BUFFERED_MB",
    first:
      "above 80 %, sockets that have sent nothing for 5 s are cut; if that is not enough, new messages get `overloaded` with `retry_after_ms`",
    repeated:
      "when full, or when one address holds a quarter, its socket with the most buffered bytes is cut; the client can resume",
  },
  waiting_frames: {
    setting: "MAX_BUFFERED_MB",
    first:
      "frames that arrive faster than they can be handled wait; when an eighth of it is full, the principal that holds most of it loses the socket with its newest frame, with 1013 and `retry_after_ms`",
    repeated: "more frames of one socket than its rates allow at once close it with 1008",
  },
} as const satisfies Record<string, Limit>;

/** Name of a limit in {@link limits}. */
export type LimitName = keyof typeof limits;
