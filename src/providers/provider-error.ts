import type { ErrorCode } from "../core/error-codes.ts";
import { ServiceError, type ServiceErrorOptions } from "../core/errors.ts";

export interface ProviderErrorOptions extends ServiceErrorOptions {
  /** HTTP status of a remote provider, if there was a response. */
  status?: number | undefined;
}

/** A failure of a provider, mapped once where the foreign error occurs. Its message is safe to show to clients. */
export class ProviderError extends ServiceError {
  readonly provider: string;
  readonly status: number | undefined;

  constructor(provider: string, code: ErrorCode, message: string, options: ProviderErrorOptions = {}) {
    super(code, message, options);
    this.name = "ProviderError";
    this.provider = provider;
    this.status = options.status;
  }
}
