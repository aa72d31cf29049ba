/**
 * Every error code a client can meet, in one table. `retryable` is the default: the place that meets a foreign error
 * decides once and may differ. `docs/protocol.md` prints this table; a test holds the two together.
 */
export const errorCodes = {
  bad_frame: {
    retryable: false,
    meaning: "The frame is not one of the contract; the message names the field.",
  },
  frame_too_big: {
    retryable: false,
    meaning: "The frame is larger than MAX_FRAME_BYTES; the connection closes with 1009.",
  },
  unknown_command: { retryable: false, meaning: "No such command; the message names the nearest one." },
  busy: { retryable: true, meaning: "Too many messages of this client or conversation wait already." },
  overloaded: { retryable: true, meaning: "The server is full; `retry_after_ms` says when to come back." },
  rate_limited: {
    retryable: true,
    meaning: "Frames or messages come too fast; after `retry_after_ms` the next is taken.",
  },
  token_refused: {
    retryable: false,
    meaning: "The token of `auth.refresh` is not good for this connection; the one before goes on.",
  },
  draining: { retryable: true, meaning: "The server is about to stop; reconnect after the close." },
  id_conflict: { retryable: false, meaning: "The id was used for a different frame in this conversation." },
  unknown_answer: { retryable: false, meaning: "No running answer of this client has that id." },
  resume_late: { retryable: false, meaning: "`resume` must be the first frame after the welcome." },
  resume_expired: {
    retryable: false,
    meaning: "The session or answer is unknown, expired or not this client's.",
  },
  generation_lost: {
    retryable: true,
    meaning: "Text that the client has is no longer here, so the answer cannot go on; ask again.",
  },
  prompt_too_long: {
    retryable: false,
    meaning: "System text, context and message do not fit the model's window.",
  },
  context_refused: { retryable: false, meaning: "The memory for contexts is full." },
  no_provider: { retryable: true, meaning: "No provider could be started; the message says what to fix." },
  provider_unavailable: { retryable: true, meaning: "The provider cannot be reached or is starting." },
  provider_timeout: { retryable: true, meaning: "The provider missed a deadline." },
  provider_auth: { retryable: false, meaning: "The provider refused its key." },
  provider_quota: { retryable: false, meaning: "The account at the provider has no credit left." },
  provider_rate_limited: { retryable: true, meaning: "The provider limits the rate of requests." },
  spend_limit: {
    retryable: true,
    meaning:
      "A daily limit for tokens of remote providers is used up; `retry_after_ms` says when it begins anew.",
  },
  content_refused: { retryable: false, meaning: "The provider refused the content." },
  bad_request: { retryable: false, meaning: "The provider rejected the request." },
  bad_answer: { retryable: true, meaning: "The provider's answer was cut short or malformed." },
  engine_crashed: { retryable: true, meaning: "The local engine died while it worked on this answer." },
  internal: { retryable: true, meaning: "A fault of this server; it was logged." },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

/** One of the codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;
