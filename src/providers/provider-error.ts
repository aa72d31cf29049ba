import type { ErrorCode } from "../core/error-codes.ts";
import { INTERNAL_TEXT, NO_PROVIDER_TEXT, ServiceError, type ServiceErrorOptions } from "../core/errors.ts";

export interface ProviderErrorOptions extends ServiceErrorOptions {
  /** HTTP status of a remote provider, if there was a response. */
  status?: number | undefined;
}

const UNUSABLE =
  "The AI service cannot be used right now. The operator can find the reason in the server's log.";

/** What clients receive in place of a provider's message. Other codes get {@link INTERNAL_TEXT}. */
const clientTexts: Partial<Record<ErrorCode, string>> = {
  no_provider: NO_PROVIDER_TEXT,
  provider_unavailable: "The AI service is not available right now. Try again in a moment.",
  provider_timeout: "The AI service took too long to answer. Try again.",
  provider_auth: UNUSABLE,
  provider_quota: UNUSABLE,
  provider_rate_limited: "The AI service is receiving too many requests right now. Try again in a moment.",
  overloaded: "The AI service is busy right now. Try again in a few seconds.",
  spend_limit: "The daily limit of this service is used up. It resets at 00:00 UTC.",
  prompt_too_long:
    "The message and the context are too long for the AI service. Shorten them, or lower max_tokens.",
  content_refused: "The AI service refused to answer this content.",
  bad_request: "The AI service could not process this request.",
  bad_answer: "The AI service returned an incomplete or malformed answer. Try again.",
  engine_crashed: "The AI service failed while it generated this answer.",
};

/**
 * A failure of a provider, mapped once where the foreign error occurs. The message is for operators: it may name
 * settings and causes, but no keys. Clients receive a fixed text for the code, unless `clientMessage` is given.
 */
export class ProviderError extends ServiceError {
  readonly provider: string;
  readonly status: number | undefined;

  constructor(provider: string, code: ErrorCode, message: string, options: ProviderErrorOptions = {}) {
    const clientMessage = options.clientMessage ?? clientTexts[code] ?? INTERNAL_TEXT;
    super(code, message, { ...options, clientMessage });
    this.name = "ProviderError";
    this.provider = provider;
    this.status = options.status;
  }
}
