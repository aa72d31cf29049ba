import type { ErrorCode } from "../../core/error-codes.ts";
import * as words from "./refusal-words.ts";

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
  /** `code`, `type`, `status` and `reason` of the error, in lower case. */
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
  /** Status of the error if the response has none, because the server sent the error as a success. */
  readonly status?: number;
}

function hasStatus(fault: UpstreamFault, ...codes: readonly (number | undefined)[]): boolean {
  return codes.includes(fault.status);
}

/** Whether the fault has a label of `of`, or a message in its words and one of the statuses; undefined: in band. */
function means(
  fault: UpstreamFault,
  of: words.RefusalWords,
  ...statuses: readonly (number | undefined)[]
): boolean {
  if (words.isLabelled(of, fault.labels)) return true;
  return hasStatus(fault, ...statuses) && words.isWorded(of, fault.text);
}

/** Whether the prompt was too long for the model, in the words of any server. */
export function isTooLong(fault: UpstreamFault): boolean {
  const { text } = fault;
  if (hasStatus(fault, 413) || (hasStatus(fault, 429, undefined) && words.largerThanRate.test(text)))
    return true;
  // "Too many tokens, please wait": a rate, unless a code says otherwise.
  if (isTemporary(fault) || means(fault, words.rateLimited, fault.status)) {
    return words.isLabelled(words.tooLong, fault.labels);
  }
  const isAnswerOnly = words.answerLimit.test(text) && !words.promptNamed.test(text);
  return means(fault, words.tooLong, ...(isAnswerOnly ? [] : [400, 422, 500, undefined]));
}

/** Whether the address has no chat completions, in the words of any server. */
export function isWrongPath(fault: UpstreamFault): boolean {
  return hasStatus(fault, 405, 501) || means(fault, words.pathUnknown, 400, 404, undefined);
}

/** Whether the server states when to try again. Then a limit is a rate, and no plan is used up. */
function isTemporary({ retryAfterMs }: UpstreamFault): boolean {
  return retryAfterMs !== undefined;
}

const rejectsKey = ({ keySetting }: RemoteNames): string => `rejected the API key; check ${keySetting}`;
const hasNoCredit = (): string => "has no credit left on the account; check its billing";
const limitsRate = (): string => "is limiting the request rate";
const failed = (): string => "failed or is overloaded";

/**
 * Meaning of error responses. The first matching row counts; error codes come first, as they are more specific than the
 * status. The words are in `refusal-words.ts`.
 */
export const upstreamFaults: readonly FaultRow[] = [
  {
    when: "code `content_filter…`, `content_policy…`; 400, 403 or 422 with a message about flagged content",
    matches: (fault) => means(fault, words.contentRefused, 400, 403, 422, undefined),
    code: "content_refused",
    describe: () => "refused the content",
  },
  {
    when: "413; code `context_length_exceeded`, `exceed_context_size_error`; 400, 422 or 500 with a message about the length of the prompt; 429 for a request that is larger than the rate",
    matches: isTooLong,
    code: "prompt_too_long",
    describe: ({ windowSetting }) =>
      `rejected the prompt as too long; shorten the message or the context, or lower ${windowSetting}`,
  },
  {
    when: "451; code `unsupported_country_region_territory`; 400 or 403 with a message about the country or region",
    matches: (fault) => hasStatus(fault, 451) || means(fault, words.regionRefused, 400, 403, undefined),
    code: "provider_auth",
    describe: ({ baseUrlSetting }) =>
      `does not serve the country or region of this server; use another provider, or set ${baseUrlSetting} to an address in a supported region`,
  },
  {
    when: "code `account_deactivated`, `organization_restricted`; 400, 401 or 403 with a message about a suspended account",
    matches: (fault) => means(fault, words.accountBlocked, 400, 401, 403, undefined),
    code: "provider_auth",
    describe: () => "has blocked the account or project of the API key; ask the provider for the reason",
  },
  {
    when: "code `insufficient_quota`, `quota_exceeded`; a message about a used-up quota, without a time to wait",
    matches: (fault) =>
      means(fault, words.quotaUsedUp, ...(isTemporary(fault) ? [] : [400, 402, 403, 429, undefined])),
    code: "provider_quota",
    describe: () => "reports that the quota of the account is used up; check its plan and limits",
  },
  {
    when: "code `billing_hard_limit_reached`, `billing_not_active`, `insufficient_balance`, `Arrearage`; a message about credit or billing, without a time to wait",
    matches: (fault) =>
      means(fault, words.notPaid, ...(isTemporary(fault) ? [] : [400, 401, 403, 429, undefined])),
    code: "provider_quota",
    describe: hasNoCredit,
  },
  {
    // The text of one message may be the cause, so it must not stop all requests as a bad key does.
    when: "403 with a web page, as firewalls send it",
    matches: (fault) => hasStatus(fault, 403) && /^\s*</.test(fault.text),
    code: "bad_request",
    describe: ({ baseUrlSetting }) =>
      `is behind a firewall that blocked the request; check ${baseUrlSetting} and the rules of the firewall`,
  },
  {
    when: "code `invalid_api_key`, `authentication_error`, `API_KEY_INVALID`; 400, 401 or 403 with a message about the key",
    matches: (fault) => means(fault, words.keyRefused, 400, 401, 403, undefined),
    code: "provider_auth",
    describe: rejectsKey,
  },
  {
    when: "code `model_not_supported`, `model_not_found`, `DeploymentNotFound`; 400, 403, 404 or 422 with a message about an unknown model",
    matches: (fault) => means(fault, words.modelUnknown, 400, 403, 404, 422, undefined),
    code: "bad_request",
    describe: ({ modelSetting, baseUrlSetting }) =>
      `does not serve this model; check ${modelSetting} and ${baseUrlSetting}`,
  },
  {
    when: "405, 501; 200, 400 or 404 with a message about the path, such as `404 page not found` or `Unexpected endpoint`",
    matches: isWrongPath,
    code: "bad_request",
    describe: ({ baseUrlSetting }) =>
      `has no chat completions at this address; check ${baseUrlSetting}, which ends in /v1 for most servers`,
    status: 404,
  },
  {
    when: "code `rate_limit…`, `resource_exhausted`, `throttling…`",
    matches: (fault) => means(fault, words.rateLimited, undefined),
    code: "provider_rate_limited",
    describe: limitsRate,
  },
  {
    when: "code `server_error`, `internal_error`, `internal_server_error`, `overloaded`, `overloaded_error`, `unavailable`",
    matches: (fault) => means(fault, words.serverFailed, undefined),
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
    // 409 and 425 are temporary; the SDK of OpenAI treats them the same way. TGI sends 424, Groq 498.
    when: "408, 409, 424, 425, 498, 500 and above (502, 503, 529 …)",
    matches: (fault) => hasStatus(fault, 408, 409, 424, 425, 498) || (fault.status ?? 0) >= 500,
    code: "provider_unavailable",
    describe: failed,
  },
  {
    when: "404",
    matches: (fault) => hasStatus(fault, 404),
    code: "bad_request",
    describe: ({ modelSetting, baseUrlSetting }) =>
      `did not find this address or model; check ${modelSetting} and ${baseUrlSetting}, which ends in /v1 for most servers`,
  },
  {
    when: "a redirect (never followed, so that text is sent to the configured address only)",
    matches: ({ status }) => status !== undefined && status < 400,
    code: "bad_request",
    describe: ({ baseUrlSetting }) => `redirected the request; set ${baseUrlSetting} to the final address`,
  },
  {
    when: "any other status; code `invalid_request_error`, `validation_error`",
    matches: (fault) => fault.status !== undefined || means(fault, words.requestInvalid),
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
