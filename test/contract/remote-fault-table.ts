import type { ErrorCode } from "../../src/core/error-codes.ts";
import {
  bareEnding,
  cutAfter,
  duplicateFinal,
  endAfter,
  finishedBy,
  inBandError,
  noFinishReason,
  slowDrip,
  splitEvery,
  status,
  truncatedJson,
  wrongContentType,
} from "../support/fault-scripts.ts";
import type { FaultScript } from "../support/fault-server.ts";
import { secretKey } from "../support/remote-provider.ts";

/** What the user says in these tests; it must be in no error. */
export const userText = "My secret diary says xyzzy";
const echoed = `You sent: ${userText} with ${secretKey}`;

/** What a provider must make of a fault. */
export interface Expected {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly status?: number;
}

const error = (fields: object) => ({ error: { message: echoed, ...fields } });

/** Every script that must fail, and how. Bodies quote the user's text and the key, as some servers do. */
export const faults: readonly (readonly [string, FaultScript, Expected])[] = [
  ["cut before the first token", cutAfter(0), { code: "bad_answer", retryable: true }],
  ["cut after 3 tokens", cutAfter(3), { code: "bad_answer", retryable: true }],
  ["cut before the head", { steps: [{ cut: true }] }, { code: "provider_unavailable", retryable: true }],
  ["ended without a token", endAfter(0), { code: "bad_answer", retryable: true }],
  ["ended after 3 tokens", endAfter(3), { code: "bad_answer", retryable: true }],
  ["[DONE] without a finish reason", noFinishReason(), { code: "bad_answer", retryable: true }],
  ["an unknown finish reason", finishedBy("abort"), { code: "bad_answer", retryable: true }],
  ["a tool call as finish reason", finishedBy("tool_calls"), { code: "bad_answer", retryable: true }],
  ["the content filter", finishedBy("content_filter"), { code: "content_refused", retryable: false }],
  ["truncated JSON", truncatedJson(), { code: "bad_answer", retryable: true }],
  ["a web page", wrongContentType(), { code: "bad_answer", retryable: true }],
  [
    "JSON with an error and status 200",
    status(200, error({ code: "rate_limit_exceeded" })),
    { code: "provider_rate_limited", retryable: true },
  ],
  [
    "a line without end",
    { steps: Array.from({ length: 40 }, () => ({ send: "x".repeat(65_536) })) },
    { code: "bad_answer", retryable: true },
  ],
  ["an error first in the stream", inBandError(0), { code: "provider_unavailable", retryable: true }],
  ["an error amid the stream", inBandError(4), { code: "provider_unavailable", retryable: true }],
  ["an error text amid the stream", inBandError(4, echoed), { code: "bad_answer", retryable: true }],
  [
    "vLLM's error amid the stream",
    inBandError(2, { message: echoed, type: "InternalServerError", code: 500 }),
    { code: "provider_unavailable", retryable: true, status: 500 },
  ],
  ["400", status(400, error({})), { code: "bad_request", retryable: false, status: 400 }],
  [
    "400 with a context too long",
    status(400, error({ code: "context_length_exceeded" })),
    { code: "prompt_too_long", retryable: false, status: 400 },
  ],
  [
    "400 in llama-server's words",
    status(400, { error: { code: 400, message: "too long", type: "exceed_context_size_error" } }),
    { code: "prompt_too_long", retryable: false },
  ],
  [
    "400 in vLLM's words",
    status(400, {
      object: "error",
      message: "This model's maximum context length is 2048 tokens.",
      code: 400,
    }),
    { code: "prompt_too_long", retryable: false },
  ],
  [
    "400 with refused content",
    status(400, error({ code: "content_filter" })),
    { code: "content_refused", retryable: false },
  ],
  [
    "400 with a model that the router does not have",
    status(400, error({ code: "model_not_supported" })),
    { code: "bad_request", retryable: false },
  ],
  [
    "401",
    status(401, error({ code: "invalid_api_key" })),
    { code: "provider_auth", retryable: false, status: 401 },
  ],
  ["402", status(402, error({})), { code: "provider_quota", retryable: false, status: 402 }],
  ["403", status(403, error({})), { code: "provider_auth", retryable: false, status: 403 }],
  [
    "404",
    status(404, error({ code: "model_not_found" })),
    { code: "bad_request", retryable: false, status: 404 },
  ],
  ["404 as a web page", status(404, "<h1>Not found</h1>"), { code: "bad_request", retryable: false }],
  ["408", status(408), { code: "provider_unavailable", retryable: true, status: 408 }],
  ["409", status(409), { code: "provider_unavailable", retryable: true, status: 409 }],
  ["413", status(413), { code: "prompt_too_long", retryable: false, status: 413 }],
  [
    "422 of FastAPI, which quotes the request",
    status(422, { detail: [{ loc: ["body", "seed"], msg: "bad", input: { text: echoed } }] }),
    { code: "bad_request", retryable: false, status: 422 },
  ],
  ["429", status(429, error({})), { code: "provider_rate_limited", retryable: true, status: 429 }],
  [
    "429 with seconds to wait",
    status(429, error({}), { "retry-after": "7" }),
    { code: "provider_rate_limited", retryable: true, retryAfterMs: 7000 },
  ],
  [
    "429 without credit",
    status(429, error({ type: "insufficient_quota", code: "insufficient_quota" })),
    { code: "provider_quota", retryable: false, status: 429 },
  ],
  ["500", status(500, error({})), { code: "provider_unavailable", retryable: true, status: 500 }],
  ["502 as a web page", status(502, `<p>${echoed}</p>`), { code: "provider_unavailable", retryable: true }],
  [
    "503 with seconds to wait",
    status(503, error({}), { "retry-after": "2" }),
    { code: "provider_unavailable", retryable: true, retryAfterMs: 2000, status: 503 },
  ],
  [
    "529",
    status(529, error({ type: "overloaded_error" })),
    { code: "provider_unavailable", retryable: true },
  ],
  [
    "a redirect to elsewhere",
    { status: 307, headers: { location: "http://127.0.0.1:9/v1" }, steps: [] },
    { code: "bad_request", retryable: false, status: 307 },
  ],
];

/** Every script that looks odd and must give the whole answer. */
export const oddities: readonly (readonly [string, FaultScript])[] = [
  ["split after every byte", splitEvery(1)],
  ["split after every 7 bytes", splitEvery(7)],
  ["a slow drip", slowDrip(5)],
  ["a last chunk that comes twice", duplicateFinal()],
  ["no usage and no [DONE]", bareEnding("end")],
  ["a cut right after the finish reason", bareEnding("cut")],
  ["TGI's finish reason", finishedBy("eos_token")],
];
