/** What a client does after its socket has closed. Matches the table of close codes in docs/protocol.md. */
export type CloseAdvice =
  /** Reconnect with random delays that grow from attempt to attempt. */
  | { readonly kind: "back-off" }
  /** Reconnect at once, with a little jitter so that clients do not all reconnect at the same time. */
  | { readonly kind: "at-once" }
  /** Reconnect after the delay that the server named. */
  | { readonly kind: "after"; readonly ms: number }
  /** Do not reconnect until the user enters another token or asks to connect again. */
  | { readonly kind: "stop"; readonly needs: "token" | "action" };

/** Maximum delay accepted from the server. */
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * Returns what to do after a close.
 *
 * @param reason - The close reason, which may be `{"retry_after_ms":n}` for 1013 and 4429.
 */
export function adviseAfterClose(code: number, reason: string): CloseAdvice {
  switch (code) {
    case 1000:
    case 1001:
    case 1008:
    case 1009:
    case 4403:
    case 4409:
      return { kind: "stop", needs: "action" };
    case 4401:
    case 4408:
      return { kind: "stop", needs: "token" };
    case 1012:
      return { kind: "at-once" };
    case 1013:
    case 4429: {
      const ms = retryAfterOf(reason);
      return ms === undefined ? { kind: "back-off" } : { kind: "after", ms };
    }
    default:
      return { kind: "back-off" };
  }
}

function retryAfterOf(reason: string): number | undefined {
  let value: unknown;
  try {
    value = JSON.parse(reason);
  } catch {
    return undefined;
  }
  const ms = (value as { retry_after_ms?: unknown } | null)?.retry_after_ms;
  return typeof ms === "number" && ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}

/** Upper bound of the first delay. */
const INITIAL_DELAY_MS = 500;
/** Upper bound of all delays. */
const MAX_DELAY_MS = 30_000;
/** Upper bound of the first delay after a restart of the server. */
const RESTART_JITTER_MS = 1_000;

/**
 * Returns the milliseconds to wait before the next attempt. Uses exponential back-off with full jitter, so that clients
 * that were disconnected together do not reconnect together.
 *
 * @param attempt - Number of failed attempts since the connection was lost.
 * @param random - A random number in [0, 1).
 */
export function reconnectDelay(
  advice: Exclude<CloseAdvice, { kind: "stop" }>,
  attempt: number,
  random: number,
): number {
  if (advice.kind === "after") return advice.ms + random * Math.max(INITIAL_DELAY_MS, advice.ms / 2);
  // A restart may take a while, so only the first attempt is made at once.
  if (advice.kind === "at-once" && attempt === 0) return random * RESTART_JITTER_MS;
  return random * Math.min(MAX_DELAY_MS, INITIAL_DELAY_MS * 2 ** Math.min(attempt, 16));
}
