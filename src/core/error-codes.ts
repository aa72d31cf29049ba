/**
 * Every error code that a client can receive. `retryable` is the default of the code; code that converts the error of
 * another system may override it. A test compares this table with `docs/protocol.md`.
 */
export const errorCodes = {
  bad_frame: {
    retryable: false,
    meaning: "The frame does not match the protocol; the message names the field.",
  },
  frame_too_big: {
    retryable: false,
    meaning: "The frame is larger than MAX_FRAME_BYTES; the connection is closed with 1009.",
  },
  unknown_command: {
    retryable: false,
    meaning: "There is no such command; the message suggests the nearest name.",
  },
  busy: { retryable: true, meaning: "Too many requests of this client or conversation are already waiting." },
  overloaded: { retryable: true, meaning: "The server is at capacity; try again after `retry_after_ms`." },
  rate_limited: {
    retryable: true,
    meaning: "Frames or messages arrive too fast; the next one is accepted after `retry_after_ms`.",
  },
  token_refused: {
    retryable: false,
    meaning:
      "The token in `auth.refresh` is not valid for this connection; the previous token stays in effect.",
  },
  draining: {
    retryable: true,
    meaning: "The server is shutting down; reconnect after the connection closes.",
  },
  id_conflict: {
    retryable: false,
    meaning: "This id was already used for a different frame in the same conversation.",
  },
  unknown_answer: { retryable: false, meaning: "This client has no running answer with this id." },
  resume_late: { retryable: false, meaning: "`resume` must be the first frame after the welcome." },
  resume_expired: {
    retryable: false,
    meaning: "The session or answer is unknown, has expired or belongs to another client.",
  },
  generation_lost: {
    retryable: true,
    meaning:
      "The server no longer has text that the client already received, so the answer cannot continue; send the message again.",
  },
  prompt_too_long: {
    retryable: false,
    meaning: "The system text, the context and the message do not fit the model's window.",
  },
  context_refused: {
    retryable: false,
    meaning: "The memory for contexts is full; the previous context stays in effect.",
  },
  no_provider: {
    retryable: true,
    meaning: "No provider could be started; the log of the server has the reasons.",
  },
  provider_unavailable: { retryable: true, meaning: "The provider cannot be reached or is still starting." },
  provider_timeout: { retryable: true, meaning: "The provider did not respond within a deadline." },
  provider_auth: {
    retryable: false,
    meaning: "The provider refuses access: it rejected its API key, the account or the region.",
  },
  provider_quota: {
    retryable: false,
    meaning: "The account at the provider has used up its quota or its credit.",
  },
  provider_rate_limited: { retryable: true, meaning: "The provider's rate limit was reached." },
  spend_limit: {
    retryable: true,
    meaning: "A daily token limit for remote providers is used up; it resets after `retry_after_ms`.",
  },
  content_refused: { retryable: false, meaning: "The provider refused to answer this content." },
  bad_request: { retryable: false, meaning: "The provider rejected the request as invalid." },
  bad_answer: { retryable: true, meaning: "The provider's answer was incomplete or malformed." },
  engine_crashed: { retryable: true, meaning: "The local engine crashed while it worked on this answer." },
  internal: { retryable: true, meaning: "An unexpected error occurred on the server and was logged." },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>;

/** One of the codes of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;
