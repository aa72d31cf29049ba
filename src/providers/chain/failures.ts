import type { ErrorCode } from "../../core/error-codes.ts";
import type { ServiceError } from "../../core/errors.ts";
import { ProviderError } from "../provider-error.ts";

/** Faults of one request: another request may well be answered, so they say nothing against the provider. */
const OF_THE_REQUEST: ReadonlySet<ErrorCode> = new Set([
  "prompt_too_long",
  "content_refused",
  "bad_request",
  // A full queue is answered at once and costs nobody a wait.
  "overloaded",
  // The guard before the provider refused it.
  "spend_limit",
]);

/** Faults that every request will meet until they are fixed. */
const OF_THE_PROVIDER: ReadonlySet<ErrorCode> = new Set(["provider_auth", "provider_quota", "no_provider"]);

/** Not tried again on the same provider: a deadline has cost its time, a full queue says when to come back, a dead engine has a rule of its own. */
const NOT_RETRIED: ReadonlySet<ErrorCode> = new Set([
  "provider_timeout",
  "overloaded",
  "engine_crashed",
  "no_provider",
]);

/** An unknown address or model: the request is not to blame. */
const NOT_FOUND = 404;

function isNotFound(error: ServiceError): boolean {
  return error instanceof ProviderError && error.status === NOT_FOUND;
}

/** Whether a failure counts against its provider. */
export function countsAgainstProvider(error: ServiceError): boolean {
  return isNotFound(error) || !OF_THE_REQUEST.has(error.code);
}

/** Whether one such failure is enough to leave the provider alone for a time. */
export function opensAtOnce(error: ServiceError): boolean {
  return isNotFound(error) || OF_THE_PROVIDER.has(error.code);
}

export interface RetryPolicy {
  /** Further tries of one provider, ≥ 0. */
  readonly retries: number;
  /** Longest wait before a try, in milliseconds; a provider that asks for more is left for the next one. */
  readonly longestWaitMs: number;
}

const FIRST_BACKOFF_MS = 250;

/**
 * Milliseconds to wait before the same provider is tried again, or null when it should not be. Half of a doubling
 * back-off is drawn, so that those who failed together do not come back together; `Retry-After` is waited out in full.
 *
 * @param tries tries so far that failed, ≥ 1
 * @param random 0 ≤ random() < 1
 */
export function retryWaitMs(
  error: ServiceError,
  tries: number,
  { retries, longestWaitMs }: RetryPolicy,
  random: () => number,
): number | null {
  if (tries > retries || !error.retryable || NOT_RETRIED.has(error.code)) return null;
  const backoff = Math.min(longestWaitMs, FIRST_BACKOFF_MS * 2 ** (tries - 1));
  const drawn = backoff * (1 + random()) * 0.5;
  const { retryAfterMs } = error;
  if (retryAfterMs === undefined) return drawn;
  return retryAfterMs > longestWaitMs ? null : retryAfterMs + drawn - backoff * 0.5;
}

/** Why one provider of a chain gave no answer. */
export interface Failure {
  readonly provider: string;
  readonly error: ServiceError;
}

/**
 * The one error of an answer that no provider could give. Its code is that of the first failure that may pass by itself,
 * else of the first: what helps the client most.
 *
 * @param failures at least one, in order
 */
export function combinedError(failures: readonly Failure[]): ServiceError {
  const latest = [...new Map(failures.map((failure) => [failure.provider, failure])).values()];
  const main = (latest.find(({ error }) => error.retryable) ?? latest[0]) as Failure;
  if (latest.length === 1) return main.error;
  const waits = latest.flatMap(({ error }) => error.retryAfterMs ?? []);
  return new ProviderError(
    main.provider,
    main.error.code,
    `No provider could answer. ${latest.map(({ error }) => error.message).join(" ")}`,
    {
      retryable: main.error.retryable,
      ...(waits.length > 0 && { retryAfterMs: Math.min(...waits) }),
      cause: main.error,
    },
  );
}
