import type { ErrorCode } from "../../core/error-codes.ts";
import { ProviderError } from "../provider-error.ts";

/** What the mapping must know of a back end to say what to mend: names of settings, never their values. */
export interface RemoteNames {
  readonly provider: "openai" | "huggingface";
  readonly keySetting: string;
  readonly modelSetting: string;
  readonly baseUrlSetting: string;
  readonly windowSetting: string;
}

/**
 * An upstream's error as it was read. Only used to decide: its free text may quote a user or a key, so it never
 * leaves the function that maps it.
 */
export interface UpstreamFault {
  readonly status: number | undefined;
  /** `code` and `type` of the error, in lower case. */
  readonly labels: readonly string[];
  readonly param: string | undefined;
  readonly text: string;
  readonly retryAfterMs: number | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) return [];
  // FastAPI: [{ loc: ["body", "max_tokens"], msg: "…", input: <the request> }]; `input` is left out on purpose.
  return value.flatMap((entry) => {
    if (typeof entry === "string") return [entry];
    const { loc, msg } = fieldsOf(entry);
    return [Array.isArray(loc) ? loc.join(".") : "", typeof msg === "string" ? msg : ""];
  });
}

/**
 * Reads the error bodies in use: OpenAI's `{error:{message,type,code,param}}`, a bare text, `{message}`, FastAPI's
 * `{detail}` and vLLM's flat form. A numeric `code` stands for a status where there is none.
 */
export function readFault(body: unknown, status?: number, retryAfterMs?: number): UpstreamFault {
  const outer = fieldsOf(body);
  const inner = typeof outer["error"] === "object" ? fieldsOf(outer["error"]) : outer;
  const texts = [body, outer["error"], outer["detail"], outer["message"], inner["message"]].flatMap(textsOf);
  const marks = [inner["code"], inner["type"], outer["code"], outer["error_type"]];
  const number = marks.find((mark) => typeof mark === "number" && mark >= 400 && mark < 600);
  return {
    status: status ?? (number as number | undefined),
    labels: marks.filter((mark) => typeof mark === "string").map((mark) => mark.toLowerCase()),
    param: typeof inner["param"] === "string" ? inner["param"] : undefined,
    text: texts.join("\n").slice(0, 65_536),
    retryAfterMs,
  };
}

const LONGEST_RETRY_AFTER_MS = 86_400_000;

/**
 * Milliseconds to wait, from `Retry-After` (seconds or an HTTP date) or `retry-after-ms`; undefined where absent or
 * malformed. At most a day.
 *
 * @param wallMs the wall clock in milliseconds, for dates
 */
export function retryAfterOf(headers: Headers, wallMs: number): number | undefined {
  const exact = headers.get("retry-after-ms");
  const header = headers.get("retry-after")?.trim();
  let ms = Number.NaN;
  if (exact !== null && /^\d+(\.\d+)?$/.test(exact.trim())) ms = Number(exact);
  else if (header && /^\d+(\.\d+)?$/.test(header)) ms = Number(header) * 1000;
  else if (header && /[a-z]/i.test(header)) ms = Date.parse(header) - wallMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(Math.ceil(ms), 0), LONGEST_RETRY_AFTER_MS);
}

const TOO_LONG = /maximum context|context (size|length|window)|max_new_tokens|prompt is too long/i;

/** Whether the prompt was too long for the model, in the words of OpenAI, vLLM, llama-server and TGI. */
export function isTooLong(fault: UpstreamFault): boolean {
  if (fault.status === 413) return true;
  if (fault.labels.some((label) => /^(context_length_exceeded|exceed_context_size_error)$/.test(label)))
    return true;
  return (fault.status === 400 || fault.status === 422) && TOO_LONG.test(fault.text);
}

interface Mapping {
  readonly code: ErrorCode;
  readonly says: string;
}

/** Codes that say more than the status; some servers send them within a stream, where there is no status. */
function mappingByLabel(fault: UpstreamFault, names: RemoteNames): Mapping | undefined {
  const has = (pattern: RegExp) => fault.labels.some((label) => pattern.test(label));
  if (has(/content_filter|content_policy/)) return { code: "content_refused", says: "refused the content" };
  if (isTooLong(fault)) {
    return {
      code: "prompt_too_long",
      says: `found the prompt too long; shorten the message or the context, or lower ${names.windowSetting}`,
    };
  }
  if (has(/^(insufficient_quota|billing_hard_limit_reached|billing_not_active)$/)) {
    return { code: "provider_quota", says: "has no credit left on its account" };
  }
  if (has(/^(invalid_api_key|authentication_error)$/)) {
    return { code: "provider_auth", says: `refused its key; check ${names.keySetting}` };
  }
  if (has(/^(model_not_supported|model_not_found)$/)) {
    return {
      code: "bad_request",
      says: `does not serve this model; check ${names.modelSetting} and ${names.baseUrlSetting}`,
    };
  }
  if (has(/^rate_limit/)) return { code: "provider_rate_limited", says: "limits the rate of requests" };
  if (has(/^(server_error|internal_error|internal_server_error|overloaded_error|overloaded)$/)) {
    return { code: "provider_unavailable", says: "failed or is overloaded" };
  }
  return undefined;
}

function mappingByStatus(status: number, names: RemoteNames): Mapping {
  if (status === 401 || status === 403) {
    return { code: "provider_auth", says: `refused its key; check ${names.keySetting}` };
  }
  if (status === 402) return { code: "provider_quota", says: "has no credit left on its account" };
  if (status === 429) return { code: "provider_rate_limited", says: "limits the rate of requests" };
  // 409 and 425 pass by themselves, as the SDK of OpenAI has it too.
  if (status === 408 || status === 409 || status === 425 || status >= 500) {
    return { code: "provider_unavailable", says: "failed or is overloaded" };
  }
  if (status === 404) {
    return {
      code: "bad_request",
      says: `does not know this address or model; check ${names.modelSetting} and ${names.baseUrlSetting}`,
    };
  }
  if (status < 400) {
    return {
      code: "bad_request",
      says: `sends requests elsewhere; set ${names.baseUrlSetting} to the final address`,
    };
  }
  return { code: "bad_request", says: "rejected the request" };
}

/**
 * The one place where an upstream's error becomes ours. The message is made of our own words, the status, and
 * `param` when it is one of `ownParameters`.
 */
export function mapFault(
  names: RemoteNames,
  fault: UpstreamFault,
  ownParameters: readonly string[] = [],
): ProviderError {
  const { code, says } = mappingByLabel(fault, names) ??
    (fault.status === undefined ? undefined : mappingByStatus(fault.status, names)) ?? {
      code: "bad_answer" as const,
      says: "reported an error in the middle of its answer",
    };
  const about = [
    fault.status === undefined ? "" : `status ${fault.status}`,
    code === "bad_request" && fault.param && ownParameters.includes(fault.param)
      ? `parameter ${fault.param}`
      : "",
  ].filter((part) => part !== "");
  const detail = about.length > 0 ? ` (${about.join(", ")})` : "";
  return new ProviderError(names.provider, code, `The ${names.provider} back end ${says}${detail}.`, {
    status: fault.status,
    retryAfterMs: fault.retryAfterMs,
  });
}

/** The system's or undici's code of a failed `fetch`, such as ECONNREFUSED; undefined where there is none. */
function networkCode(error: unknown): string | undefined {
  for (let current = error, depth = 0; depth < 4; depth++) {
    const { code, cause, errors } = fieldsOf(current);
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) return code;
    current = Array.isArray(errors) ? errors[0] : cause;
  }
  return undefined;
}

/** Codes of OpenSSL and Node for a certificate that does not hold. */
const CERTIFICATE = /CERT|^UNABLE_TO_(GET|VERIFY)/;

/**
 * Maps what `fetch` or the reading of a body threw.
 *
 * @param begun whether the answer had begun: a cut in its middle is `bad_answer`, before it `provider_unavailable`
 */
export function mapNetworkFault(names: RemoteNames, error: unknown, begun: boolean): ProviderError {
  const code = networkCode(error);
  const detail = code === undefined ? "" : ` (${code})`;
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    const message = `The ${names.provider} back end was silent for too long${detail}.`;
    return new ProviderError(names.provider, "provider_timeout", message);
  }
  if (begun) return badAnswer(names, `the answer was cut short${detail}`);
  if (code !== undefined && CERTIFICATE.test(code)) {
    const message =
      `The certificate of the ${names.provider} back end is not trusted${detail}; ` +
      `check ${names.baseUrlSetting}, or name the file of its authority in NODE_EXTRA_CA_CERTS.`;
    return new ProviderError(names.provider, "provider_unavailable", message);
  }
  const message = `The ${names.provider} back end cannot be reached${detail}; check ${names.baseUrlSetting} and the network.`;
  return new ProviderError(names.provider, "provider_unavailable", message);
}

/** The answer broke a rule of the protocol; `what` is in our own words. */
export function badAnswer(names: RemoteNames, what: string): ProviderError {
  return new ProviderError(names.provider, "bad_answer", `The ${names.provider} back end failed: ${what}.`);
}
