import { fieldsOf, type JsonFields } from "../../core/json-fields.ts";
import { ProviderError } from "../provider-error.ts";
import { upstreamFaults, type FaultRow, type RemoteNames, type UpstreamFault } from "./fault-table.ts";

/** Longest accepted time to wait: one day, in milliseconds. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/** How deep an error may be nested: `[{ error: { details: [{ reason }] } }]` has five levels. */
const MAX_DEPTH = 6;
/** Maximum characters of the text of an error that are searched for words. The words are at its beginning. */
const MAX_TEXT = 8192;

/** Maximum codes that are read of an error. Each is compared with all known ones. */
const MAX_MARKS = 64;
/** Maximum characters of a code. */
const MAX_MARK_CHARS = 200;

/** Fields that hold the text of an error, or another level of it. `input` is missing: it is the user's text. */
const TEXT_FIELDS = [
  ...["error", "errors", "detail", "details", "message", "msg", "Message", "error_msg", "error_message"],
  ...["errorMessage", "error_description", "title", "reasons", "metadata", "raw", "fault", "faultstring"],
  ...["base_resp", "status_msg", "innererror", "inner_error"],
] as const;

/** Fields that hold the code of an error. */
const MARK_FIELDS = [
  "code",
  "type",
  "status",
  "reason",
  "error_type",
  "error_code",
  "errorCode",
  "status_code",
  "statusCode",
] as const;

/** What was found in the body of an error, at all levels. */
interface Findings {
  readonly texts: string[];
  readonly marks: (string | number)[];
  readonly waits: number[];
  param: string | undefined;
}

/** Milliseconds of a duration such as `32s`, `7m12.5s` or `864ms`. Undefined for other text. */
function durationOf(text: string): number | undefined {
  // The digits are bounded, because a long number without a unit would take quadratic time.
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?) ?(ms|h|m|s)/g)];
  const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  const ms = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ""] ?? 0), 0);
  return parts.length === 0 ? undefined : ms;
}

function addMarks(fields: JsonFields, found: Findings): void {
  for (const name of MARK_FIELDS) {
    const mark = fields[name];
    if (found.marks.length === MAX_MARKS) break;
    if (typeof mark === "number") found.marks.push(mark);
    if (typeof mark === "string") found.marks.push(mark.slice(0, MAX_MARK_CHARS));
  }
  const seconds = [fields["retry_after"], fields["estimated_time"]].find(
    (value) => typeof value === "number" && value >= 0,
  );
  if (typeof seconds === "number") found.waits.push(seconds * 1000);
  const { retryDelay, param, loc } = fields;
  if (typeof retryDelay === "string") found.waits.push(durationOf(retryDelay) ?? 0);
  if (typeof param === "string") found.param ??= param;
  // FastAPI: [{ loc: ["body", "max_tokens"], msg: "…", input: <the request> }].
  if (Array.isArray(loc)) {
    found.texts.push(loc.filter((part) => typeof part === "string").join("."));
    if (found.marks.length < MAX_MARKS) found.marks.push("validation_error");
  }
}

function addFindings(value: unknown, found: Findings, depth = 0): void {
  if (typeof value === "string") found.texts.push(value);
  else if (typeof value !== "object" || value === null || depth === MAX_DEPTH) return;
  else if (Array.isArray(value)) for (const entry of value) addFindings(entry, found, depth + 1);
  else {
    const fields = fieldsOf(value);
    addMarks(fields, found);
    for (const name of TEXT_FIELDS) addFindings(fields[name], found, depth + 1);
  }
}

/** Time to wait as servers write it in a message: "Please retry in 32.5s.", "try again in 7m12s". */
const WAIT_IN_TEXT = /(?:retry|try again) (?:in|after) ((?:\d+(?:\.\d+)? ?(?:ms|h|m|s)(?:ec\w*)?){1,3})/i;

/**
 * Reads the error bodies in use: OpenAI's `{error:{message,type,code,param}}`, a text in `error`, `message` or `detail`,
 * FastAPI's list, Google's `details`, a list around all of it. If there is no status, a numeric code is used. If there
 * is no Retry-After header, `retry_after`, `estimated_time` (until a Hugging Face model is loaded), both in seconds,
 * `retryDelay` or the wait in the message is used.
 */
export function readFault(body: unknown, status?: number, retryAfterMs?: number): UpstreamFault {
  const found: Findings = { texts: [], marks: [], waits: [], param: undefined };
  addFindings(body, found);
  const text = found.texts.join("\n").slice(0, MAX_TEXT);
  const numbers = found.marks.map(Number).filter((mark) => mark >= 400 && mark < 600);
  const stated = WAIT_IN_TEXT.exec(text)?.[1];
  const waitMs = found.waits[0] ?? (stated === undefined ? undefined : durationOf(stated));
  return {
    status: status ?? numbers[0],
    labels: found.marks.map((mark) => String(mark).toLowerCase()),
    param: found.param,
    text,
    retryAfterMs:
      retryAfterMs ?? (waitMs === undefined ? undefined : Math.min(Math.ceil(waitMs), MAX_RETRY_AFTER_MS)),
  };
}

/**
 * Milliseconds to wait, from `Retry-After` (seconds or an HTTP date) or `retry-after-ms`. Undefined if the header is
 * absent or malformed. At most one day.
 *
 * @param wallMs wall clock in milliseconds since the epoch, for dates
 */
export function retryAfterOf(headers: Headers, wallMs: number): number | undefined {
  const exact = headers.get("retry-after-ms");
  const header = headers.get("retry-after")?.trim();
  let ms = Number.NaN;
  if (exact !== null && /^\d+(\.\d+)?$/.test(exact.trim())) ms = Number(exact);
  else if (header && /^\d+(\.\d+)?$/.test(header)) ms = Number(header) * 1000;
  else if (header && /[a-z]/i.test(header)) ms = Date.parse(header) - wallMs;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(Math.ceil(ms), 0), MAX_RETRY_AFTER_MS);
}

/**
 * Maps an upstream error to a ProviderError. This is the only place that does so. The message consists of fixed texts,
 * the status, and `param` if it is one of `ownParameters`.
 */
export function mapFault(
  names: RemoteNames,
  fault: UpstreamFault,
  ownParameters: readonly string[] = [],
): ProviderError {
  const { code, describe, status } = upstreamFaults.find(({ matches }) => matches(fault)) as FaultRow;
  const about = [
    fault.status === undefined ? "" : `status ${fault.status}`,
    code === "bad_request" && fault.param && ownParameters.includes(fault.param)
      ? `parameter ${fault.param}`
      : "",
  ].filter((part) => part !== "");
  const detail = about.length > 0 ? ` (${about.join(", ")})` : "";
  return new ProviderError(
    names.provider,
    code,
    `The ${names.provider} provider ${describe(names)}${detail}.`,
    {
      status: fault.status ?? status,
      retryAfterMs: fault.retryAfterMs,
    },
  );
}

/** Error code of a failed `fetch` from the system or undici, such as ECONNREFUSED; undefined if there is none. */
function networkCode(error: unknown): string | undefined {
  for (let current = error, depth = 0; depth < 4; depth++) {
    const { code, cause, errors } = fieldsOf(current);
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) return code;
    current = Array.isArray(errors) ? errors[0] : cause;
  }
  return undefined;
}

/** Codes of OpenSSL and Node for an untrusted certificate. */
const CERTIFICATE = /CERT|^UNABLE_TO_(GET|VERIFY)/;

/**
 * Maps an error thrown by `fetch` or by reading a body.
 *
 * @param begun whether the answer had begun: an interruption is then `bad_answer`, otherwise `provider_unavailable`
 */
export function mapNetworkFault(names: RemoteNames, error: unknown, begun: boolean): ProviderError {
  const code = networkCode(error);
  const detail = code === undefined ? "" : ` (${code})`;
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    const message = `The ${names.provider} provider sent no data for too long${detail}.`;
    return new ProviderError(names.provider, "provider_timeout", message);
  }
  if (begun) return badAnswer(names, `the answer was cut short${detail}`);
  if (code?.startsWith("PROXY_") === true) {
    const message = `The proxy to the ${names.provider} provider failed${detail}; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.`;
    return new ProviderError(names.provider, "provider_unavailable", message);
  }
  if (code !== undefined && CERTIFICATE.test(code)) {
    const message =
      `The certificate of the ${names.provider} provider is not trusted${detail}; ` +
      `check ${names.baseUrlSetting}, or set NODE_EXTRA_CA_CERTS to the file of its certificate authority.`;
    return new ProviderError(names.provider, "provider_unavailable", message);
  }
  const message = `The ${names.provider} provider cannot be reached${detail}; check ${names.baseUrlSetting} and the network.`;
  return new ProviderError(names.provider, "provider_unavailable", message);
}

/** Error for a successful response that is another document: a web page, a list of models, plain text, nothing. */
export function foreignAnswer(names: RemoteNames): ProviderError {
  return badAnswer(
    names,
    `its response is not an answer; check ${names.baseUrlSetting}, which ends in /v1 for most servers`,
  );
}

/** Error for an answer that violates the protocol. `what` must not contain text of the upstream. */
export function badAnswer(names: RemoteNames, what: string): ProviderError {
  return new ProviderError(names.provider, "bad_answer", `The ${names.provider} provider failed: ${what}.`);
}
