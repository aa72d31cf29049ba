/** What a client does after its socket closed; the counterpart of the server's table of close codes. */
export type CloseAdvice =
  /** Come back with growing, random delays. */
  | { readonly then: "back-off" }
  /** Come back at once; a little jitter keeps a thousand clients from knocking together. */
  | { readonly then: "at-once" }
  /** Come back when the server said so. */
  | { readonly then: "after"; readonly ms: number }
  /** Stay away until a person acts: gives another token, or asks to connect again. */
  | { readonly then: "stop"; readonly needs: "token" | "action" };

/** A delay the server names is honoured up to five minutes. */
const LONGEST_NAMED_DELAY_MS = 300_000;

/** Reads the close code and the reason, which is `{"retry_after_ms":n}` where the server asks for patience. */
export function adviseAfterClose(code: number, reason: string): CloseAdvice {
  switch (code) {
    case 1000:
    case 1001:
    case 1008:
    case 1009:
    case 4403:
    case 4409:
      return { then: "stop", needs: "action" };
    case 4401:
    case 4408:
      return { then: "stop", needs: "token" };
    case 1012:
      return { then: "at-once" };
    case 1013:
    case 4429: {
      const ms = namedDelay(reason);
      return ms === undefined ? { then: "back-off" } : { then: "after", ms };
    }
    default:
      return { then: "back-off" };
  }
}

function namedDelay(reason: string): number | undefined {
  let value: unknown;
  try {
    value = JSON.parse(reason);
  } catch {
    return undefined;
  }
  const ms = (value as { retry_after_ms?: unknown } | null)?.retry_after_ms;
  return typeof ms === "number" && ms >= 0 ? Math.min(ms, LONGEST_NAMED_DELAY_MS) : undefined;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
const RESTART_JITTER_MS = 1_000;

/**
 * Milliseconds to wait before attempt number `attempt` (0 = the first after the cut): full jitter, so that clients cut
 * together come back apart.
 *
 * @param random - In [0, 1).
 */
export function reconnectDelay(
  advice: Exclude<CloseAdvice, { then: "stop" }>,
  attempt: number,
  random: number,
): number {
  if (advice.then === "after") return advice.ms + random * Math.max(FIRST_DELAY_MS, advice.ms / 2);
  // A server that restarts may take a while: only the first knock is at once.
  if (advice.then === "at-once" && attempt === 0) return random * RESTART_JITTER_MS;
  return random * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 16));
}
