/** Every code this server closes a socket with, and whether a client should come back. `docs/protocol.md` prints it. */
export const closeCodes = {
  done: { code: 1000, reconnect: "no", meaning: "Done." },
  goingAway: { code: 1001, reconnect: "no", meaning: "The peer goes away." },
  policy: { code: 1008, reconnect: "no", meaning: "Too many bad frames, or a client that does not read." },
  frameTooBig: { code: 1009, reconnect: "no", meaning: "A frame was larger than MAX_FRAME_BYTES." },
  serverFault: { code: 1011, reconnect: "later, back off", meaning: "A fault of the server." },
  restart: {
    code: 1012,
    reconnect: "at once, with jitter, and resume",
    meaning: "The server stops or restarts.",
  },
  overloaded: {
    code: 1013,
    reconnect: "after the `retry_after_ms` in the reason",
    meaning: "The server is full.",
  },
  unauthorized: { code: 4401, reconnect: "with a valid token", meaning: "The token is missing or invalid." },
  forbidden: { code: 4403, reconnect: "no", meaning: "The origin or a right was refused." },
  tokenExpired: { code: 4408, reconnect: "with a new token, and resume", meaning: "The token expired." },
  replaced: { code: 4409, reconnect: "no", meaning: "Replaced by a newer socket of the client." },
  rateLimited: { code: 4429, reconnect: "later", meaning: "Too many requests." },
} as const;

/** Name of a close code in {@link closeCodes}. */
export type CloseReason = keyof typeof closeCodes;

/** Control frames hold 125 bytes: two for the code, the rest for the reason. */
export const MAX_CLOSE_REASON_BYTES = 123;

/** The reason of a 1013: when to come back. */
export function retryAfterReason(ms: number): string {
  return JSON.stringify({ retry_after_ms: ms });
}
