import { errorCodes, type ErrorCode } from "./error-codes.ts";
import type { LimitName } from "./limits.ts";

/** What a client is told of a failure: never a stack, a key, or another user's text. */
export interface ErrorReport {
  readonly code: ErrorCode;
  /** For people: what happened and what was expected. */
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds after which a retry has a chance; absent where unknown. */
  readonly retryAfterMs?: number;
}

export interface ServiceErrorOptions {
  /** Overrides the default of the code. */
  retryable?: boolean | undefined;
  retryAfterMs?: number | undefined;
  /** The limit that was met; for the metrics. */
  limit?: LimitName | undefined;
  /** For the log only; never shown to a client. */
  cause?: unknown;
}

/** A failure whose message may be shown to the client that caused or met it. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly limit: LimitName | undefined;

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = "ServiceError";
    this.code = code;
    this.retryable = options.retryable ?? errorCodes[code].retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.limit = options.limit;
  }

  report(): ErrorReport {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.retryAfterMs !== undefined && { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** Turns anything thrown into a report. What is not a {@link ServiceError} becomes `internal`, without its text. */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof ServiceError) return error.report();
  return { code: "internal", message: "The server met an unexpected fault; it was logged.", retryable: true };
}
