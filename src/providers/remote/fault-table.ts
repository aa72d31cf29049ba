import type { ErrorCode } from "../../core/error-codes.ts";

/** Names of a provider and its settings (never their values), for messages that name the setting to fix. */
export interface RemoteNames {
  readonly provider: "openai" | "huggingface";
  readonly keySetting: string;
  readonly modelSetting: string;
  readonly baseUrlSetting: string;
  readonly windowSetting: string;
}

/**
 * An error of an upstream server as it was read. Its free text is used for decisions only: it may quote a user's text
 * or a key, so it must never be shown or logged.
 */
export interface UpstreamFault {
  readonly status: number | undefined;
  /** `code` and `type` of the error, in lower case. */
  readonly labels: readonly string[];
  readonly param: string | undefined;
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

/** One kind of error response. `docs/providers.md` lists these rows; a test compares the two. */
export interface FaultRow {
  /** Description of the response, for the docs. */
  readonly when: string;
  readonly matches: (fault: UpstreamFault) => boolean;
  readonly code: ErrorCode;
  /** Predicate of the sentence "The … provider …". */
  readonly describe: (names: RemoteNames) => string;
}

const TOO_LONG = /maximum context|context (size|length|window)|max_new_tokens|prompt is too long/i;

function labelled(fault: UpstreamFault, pattern: RegExp): boolean {
  return fault.labels.some((label) => pattern.test(label));
}

function hasStatus(fault: UpstreamFault, ...codes: readonly number[]): boolean {
  return fault.status !== undefined && codes.includes(fault.status);
}

/** Whether the prompt was too long for the model, by the wording of OpenAI, vLLM, llama-server and TGI. */
export function isTooLong(fault: UpstreamFault): boolean {
  if (hasStatus(fault, 413)) return true;
  if (labelled(fault, /^(context_length_exceeded|exceed_context_size_error)$/)) return true;
  return hasStatus(fault, 400, 422) && TOO_LONG.test(fault.text);
}

const rejectsKey = ({ keySetting }: RemoteNames): string => `rejected the API key; check ${keySetting}`;
const hasNoCredit = (): string => "has no credit left on the account";
const limitsRate = (): string => "is limiting the request rate";
const failed = (): string => "failed or is overloaded";

/**
 * Meaning of error responses. The first matching row counts; error codes come first, as they are more specific than the
 * status.
 */
export const upstreamFaults: readonly FaultRow[] = [
  {
    when: "code `content_filter`, `content_policy…`",
    matches: (fault) => labelled(fault, /content_filter|content_policy/),
    code: "content_refused",
    describe: () => "refused the content",
  },
  {
    when: "413; code `context_length_exceeded`, `exceed_context_size_error`; 400 or 422 with a message about the context length",
    matches: isTooLong,
    code: "prompt_too_long",
    describe: ({ windowSetting }) =>
      `rejected the prompt as too long; shorten the message or the context, or lower ${windowSetting}`,
  },
  {
    when: "code `insufficient_quota`, `billing_hard_limit_reached`, `billing_not_active`",
    matches: (fault) =>
      labelled(fault, /^(insufficient_quota|billing_hard_limit_reached|billing_not_active)$/),
    code: "provider_quota",
    describe: hasNoCredit,
  },
  {
    when: "code `invalid_api_key`, `authentication_error`",
    matches: (fault) => labelled(fault, /^(invalid_api_key|authentication_error)$/),
    code: "provider_auth",
    describe: rejectsKey,
  },
  {
    when: "code `model_not_supported`, `model_not_found`",
    matches: (fault) => labelled(fault, /^(model_not_supported|model_not_found)$/),
    code: "bad_request",
    describe: ({ modelSetting, baseUrlSetting }) =>
      `does not serve this model; check ${modelSetting} and ${baseUrlSetting}`,
  },
  {
    when: "code `rate_limit…`",
    matches: (fault) => labelled(fault, /^rate_limit/),
    code: "provider_rate_limited",
    describe: limitsRate,
  },
  {
    when: "code `server_error`, `internal_error`, `internal_server_error`, `overloaded`, `overloaded_error`",
    matches: (fault) =>
      labelled(fault, /^(server_error|internal_error|internal_server_error|overloaded_error|overloaded)$/),
    code: "provider_unavailable",
    describe: failed,
  },
  {
    when: "401, 403",
    matches: (fault) => hasStatus(fault, 401, 403),
    code: "provider_auth",
    describe: rejectsKey,
  },
  { when: "402", matches: (fault) => hasStatus(fault, 402), code: "provider_quota", describe: hasNoCredit },
  {
    when: "429",
    matches: (fault) => hasStatus(fault, 429),
    code: "provider_rate_limited",
    describe: limitsRate,
  },
  {
    // 409 and 425 are temporary; the SDK of OpenAI treats them the same way.
    when: "408, 409, 425, 500 and above (502, 503, 529 …)",
    matches: (fault) => hasStatus(fault, 408, 409, 425) || (fault.status ?? 0) >= 500,
    code: "provider_unavailable",
    describe: failed,
  },
  {
    when: "404",
    matches: (fault) => hasStatus(fault, 404),
    code: "bad_request",
    describe: ({ modelSetting, baseUrlSetting }) =>
      `did not find this address or model; check ${modelSetting} and ${baseUrlSetting}`,
  },
  {
    when: "a redirect (never followed, so that text is sent to the configured address only)",
    matches: ({ status }) => status !== undefined && status < 400,
    code: "bad_request",
    describe: ({ baseUrlSetting }) => `redirected the request; set ${baseUrlSetting} to the final address`,
  },
  {
    when: "any other status",
    matches: ({ status }) => status !== undefined,
    code: "bad_request",
    describe: () => "rejected the request",
  },
  {
    when: "an error within the stream that matches none of the rows above",
    matches: () => true,
    code: "bad_answer",
    describe: () => "reported an error in the middle of the answer",
  },
];
