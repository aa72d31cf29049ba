import { errorCodes, type ErrorCode } from "./error-codes.ts";
import type { LimitName } from "./limits.ts";

/** A failure as reported to a client, or to the log: never contains a stack trace, a key, or text of another user. */
export interface ErrorReport {
  readonly code: ErrorCode;
  /** What happened and what to do. */
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
  /** Text for the client. Needed if the message is for operators only: it names a setting, a path or a cause. */
  clientMessage?: string | undefined;
  /** For the log only; never shown to a client. */
  cause?: unknown;
}

/** A failure that is reported to the affected client, with `clientMessage` if it is given, else with the message. */
export class ServiceError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly limit: LimitName | undefined;
  readonly clientMessage: string;

  constructor(code: ErrorCode, message: string, options: ServiceErrorOptions = {}) {
    const { stackTraceLimit } = Error;
    // A stack trace of an expected failure is useless, and costs more than the reply to a refused frame.
    Error.stackTraceLimit = 0;
    super(message, { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = "ServiceError";
    this.code = code;
    this.retryable = options.retryable ?? errorCodes[code].retryable;
    this.retryAfterMs = options.retryAfterMs;
    this.limit = options.limit;
    this.clientMessage = options.clientMessage ?? message;
  }

  /** The failure as a client may see it. */
  report(): ErrorReport {
    return this.#reportAs(this.clientMessage);
  }

  /** The failure with the message for operators. Only for the log and for other processes of this service. */
  operatorReport(): ErrorReport {
    return this.#reportAs(this.message);
  }

  #reportAs(message: string): ErrorReport {
    return {
      code: this.code,
      message,
      retryable: this.retryable,
      ...(this.retryAfterMs !== undefined && { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** Text of the code `internal` for clients. */
export const INTERNAL_TEXT = "An unexpected error occurred on the server and was logged. Try again.";
/** Text of the code `no_provider` for clients. */
export const NO_PROVIDER_TEXT =
  "No AI service is available right now. The operator can find the reason in the server's log.";

/**
 * Converts anything thrown into a report for a client. Anything but a {@link ServiceError} becomes `internal`, without
 * its text.
 */
export function reportOf(error: unknown): ErrorReport {
  return error instanceof ServiceError ? error.report() : unexpectedReport();
}

/** As {@link reportOf}, with the message for operators. Only for the log and for other processes of this service. */
export function operatorReportOf(error: unknown): ErrorReport {
  return error instanceof ServiceError ? error.operatorReport() : unexpectedReport();
}

function unexpectedReport(): ErrorReport {
  return { code: "internal", message: INTERNAL_TEXT, retryable: true };
}
