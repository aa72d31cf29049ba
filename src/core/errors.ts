import { errorCodes, type ErrorCode } from "./error-codes.ts";
import type { LimitName } from "./limits.ts";

/** A failure as reported to a client: never contains a stack trace, a key, or text of another user. */
export interface ErrorReport {
  readonly code: ErrorCode;
  /** For users: what happened, why, and what to do. */
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds after which a retry may succeed; absent when unknown. */
  readonly retryAfterMs?: number;
}

export interface ServiceErrorOptions {
  /** Overrides the default of the code. */
  retryable?: boolean | undefined;
  retryAfterMs?: number | undefined;
  /** The limit that was reached; for the metrics. */
  limit?: LimitName | undefined;
  /** For the log only; never shown to a client. */
  cause?: unknown;
}

/** A failure whose message may be shown to the affected client. */
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

/** Converts anything thrown into a report. Anything but a {@link ServiceError} becomes `internal`, without its text. */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof ServiceError) return error.report();
  const message = "An unexpected error occurred on the server and was logged. Try again.";
  return { code: "internal", message, retryable: true };
}
