import { fieldsOf } from "../../core/json-fields.ts";
import { ProviderError } from "../provider-error.ts";
import { upstreamFaults, type FaultRow, type RemoteNames, type UpstreamFault } from "./fault-table.ts";

/** Longest accepted time to wait: one day, in milliseconds. */
const MAX_RETRY_AFTER_MS = 86_400_000;

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) {
    // Mistral puts FastAPI's errors into the message.
    const { detail } = fieldsOf(value);
    return Array.isArray(detail) ? textsOf(detail) : [];
  }
  // FastAPI: [{ loc: ["body", "max_tokens"], msg: "…", input: <the request> }]. `input` is not used: it is the user's
  // text.
  return value.flatMap((entry) => {
    if (typeof entry === "string") return [entry];
    const { loc, msg } = fieldsOf(entry);
    return [Array.isArray(loc) ? loc.join(".") : "", typeof msg === "string" ? msg : ""];
  });
}

/**
 * Reads the error bodies in use: OpenAI's `{error:{message,type,code,param}}`, a plain text, `{message}`, FastAPI's
 * `{detail}` and vLLM's flat form. If there is no status, a numeric `code` is used. If there is no Retry-After header,
 * `retry_after` or `estimated_time` (until a Hugging Face model is loaded) is used, both in seconds.
 */
export function readFault(body: unknown, status?: number, retryAfterMs?: number): UpstreamFault {
  // Gemini wraps its errors in an array.
  const outer = fieldsOf(Array.isArray(body) ? body[0] : body);
  const inner = typeof outer["error"] === "object" ? fieldsOf(outer["error"]) : outer;
  const texts = [body, outer["error"], outer["detail"], outer["message"], inner["message"]].flatMap(textsOf);
  const marks = [inner["code"], inner["type"], outer["code"], outer["error_type"]];
  const seconds = [inner["retry_after"], outer["retry_after"], outer["estimated_time"]].find(
    (value) => typeof value === "number" && value >= 0,
  ) as number | undefined;
  const number = marks.find((mark) => typeof mark === "number" && mark >= 400 && mark < 600);
  return {
    status: status ?? (number as number | undefined),
    labels: marks.filter((mark) => typeof mark === "string").map((mark) => mark.toLowerCase()),
    param: typeof inner["param"] === "string" ? inner["param"] : undefined,
    text: texts.join("\n").slice(0, 65_536),
    retryAfterMs:
      retryAfterMs ??
      (seconds === undefined ? undefined : Math.min(Math.ceil(seconds * 1000), MAX_RETRY_AFTER_MS)),
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
  const { code, describe } = upstreamFaults.find(({ matches }) => matches(fault)) as FaultRow;
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
      status: fault.status,
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

/** Error for an answer that violates the protocol. `what` must not contain text of the upstream. */
export function badAnswer(names: RemoteNames, what: string): ProviderError {
  return new ProviderError(names.provider, "bad_answer", `The ${names.provider} provider failed: ${what}.`);
}
