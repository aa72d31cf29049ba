import type { ErrorCode } from "../../core/error-codes.ts";
import type { ServiceError } from "../../core/errors.ts";
import { ProviderError } from "../provider-error.ts";

/** Codes of faults of a single request. Other requests may succeed, so they do not count against the provider. */
const REQUEST_FAULTS: ReadonlySet<ErrorCode> = new Set([
  "prompt_too_long",
  "content_refused",
  "bad_request",
  // A full queue is reported immediately, so requests lose no time by trying the provider.
  "overloaded",
  // Refused by the spend guard before the provider was called.
  "spend_limit",
]);

/** Codes of faults that affect every request until an operator fixes them. */
const PROVIDER_FAULTS: ReadonlySet<ErrorCode> = new Set(["provider_auth", "provider_quota", "no_provider"]);

/**
 * Codes that are not retried on the same provider: a deadline has used up its time, a full queue states when to retry,
 * and crashes of the engine are handled by {@link AnswerRun}.
 */
const NOT_RETRIED: ReadonlySet<ErrorCode> = new Set([
  "provider_timeout",
  "overloaded",
  "engine_crashed",
  "no_provider",
]);

/** HTTP status for an unknown address or model, which is not a fault of the request. */
const NOT_FOUND = 404;

function isNotFound(error: ServiceError): boolean {
  return error instanceof ProviderError && error.status === NOT_FOUND;
}

/** Whether a failure counts against its provider. */
export function countsAgainstProvider(error: ServiceError): boolean {
  return isNotFound(error) || !REQUEST_FAULTS.has(error.code);
}

/** Whether a single such failure opens the circuit breaker. */
export function opensAtOnce(error: ServiceError): boolean {
  return isNotFound(error) || PROVIDER_FAULTS.has(error.code);
}

export interface RetryPolicy {
  /** Retries on one provider, ≥ 0. */
  readonly retries: number;
  /** Maximum milliseconds before a retry. If `Retry-After` is longer, the next provider is tried instead. */
  readonly maxWaitMs: number;
}

/** Back-off before the first retry, in milliseconds; doubled for each further one. */
const FIRST_BACKOFF_MS = 250;

/**
 * Milliseconds to wait before the same provider is retried, or null if it should not be. Half of the exponential
 * back-off is random, so that requests that failed together are not retried together. `Retry-After` is always respected
 * in full.
 *
 * @param tries number of failed tries so far, ≥ 1
 * @param random 0 ≤ random() < 1
 */
export function retryWaitMs(
  error: ServiceError,
  tries: number,
  { retries, maxWaitMs }: RetryPolicy,
  random: () => number,
): number | null {
  if (tries > retries || !error.retryable || NOT_RETRIED.has(error.code)) return null;
  const backoff = Math.min(maxWaitMs, FIRST_BACKOFF_MS * 2 ** (tries - 1));
  const jittered = backoff * (1 + random()) * 0.5;
  const { retryAfterMs } = error;
  if (retryAfterMs === undefined) return jittered;
  return retryAfterMs > maxWaitMs ? null : retryAfterMs + jittered - backoff * 0.5;
}

/** Failure of one provider of a chain. */
export interface Failure {
  readonly provider: string;
  readonly error: ServiceError;
}

/**
 * Combines the failures of all providers into one error. Its code is that of the first retryable failure, or else of
 * the first failure, because that is the most useful one for the client.
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
      clientMessage: main.error.clientMessage,
      ...(waits.length > 0 && { retryAfterMs: Math.min(...waits) }),
      cause: main.error,
    },
  );
}
