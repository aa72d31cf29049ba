/** Every close code, and whether the client should reconnect. `docs/protocol.md` holds the same table. */
export const closeCodes = {
  done: { code: 1000, reconnect: "no", meaning: "Normal closure." },
  goingAway: { code: 1001, reconnect: "no", meaning: "The peer is going away." },
  policy: {
    code: 1008,
    reconnect: "no",
    meaning: "A wrong query, too many bad frames, or a client that does not read.",
  },
  frameTooBig: { code: 1009, reconnect: "no", meaning: "A frame was larger than MAX_FRAME_BYTES." },
  serverFault: { code: 1011, reconnect: "later, back off", meaning: "Unexpected server error." },
  restart: {
    code: 1012,
    reconnect: "at once, with jitter, and resume",
    meaning: "The server is stopping or restarting.",
  },
  overloaded: {
    code: 1013,
    reconnect: "after the `retry_after_ms` in the reason",
    meaning: "The server is full.",
  },
  unauthorized: { code: 4401, reconnect: "with a valid token", meaning: "The token is missing or invalid." },
  forbidden: { code: 4403, reconnect: "no", meaning: "The origin is not allowed." },
  tokenExpired: { code: 4408, reconnect: "with a new token, and resume", meaning: "The token expired." },
  replaced: { code: 4409, reconnect: "no", meaning: "Replaced by a newer socket of the client." },
  rateLimited: { code: 4429, reconnect: "later", meaning: "Too many requests." },
} as const;

/** Name of a close code in {@link closeCodes}. */
export type CloseReason = keyof typeof closeCodes;

/** Maximum bytes of a close reason: a control frame holds 125, and the code takes two of them (RFC 6455, 5.5). */
export const MAX_CLOSE_REASON_BYTES = 123;

/** Close reason of a 1013 as JSON: milliseconds after which the client may reconnect. */
export function retryAfterReason(ms: number): string {
  return JSON.stringify({ retry_after_ms: ms });
}
