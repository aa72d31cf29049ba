import type { ErrorCode } from "../../src/core/error-codes.ts";
import {
  answerTokens,
  bareEnding,
  cutAfter,
  duplicateFinal,
  endAfter,
  finishedBy,
  inBandError,
  noFinishReason,
  slowDrip,
  splitEvery,
  stallAfter,
  status,
  truncatedJson,
  wrongContentType,
} from "./fault-scripts.ts";
import { startFaultServer, type FaultScript } from "./fault-server.ts";
import { secretKey } from "./remote-provider.ts";
import { selfSigned } from "./self-signed.ts";

/** The user's text in these tests. The server quotes it, as some servers do. It must not appear in any error. */
export const userText = "My secret diary says xyzzy";

/** A named fault script with its expected outcome. */
export interface FaultCase {
  readonly name: string;
  readonly script: FaultScript;
  /** Whether text is sent before the fault. Scripts with a whole answer count as `mid_stream`. */
  readonly when: "before_first_token" | "mid_stream";
  /**
   * `whole`: the answer is complete although the stream is unusual. Otherwise the code of the error that a remote
   * provider throws. `provider_timeout`: only a deadline ends the request.
   */
  readonly outcome: "whole" | ErrorCode;
  /** Further expected fields of the error: the time to wait, and the HTTP status if it differs from the script's. */
  readonly fields?: { readonly retryAfterMs?: number; readonly status?: number };
}

type Row = readonly [name: string, script: FaultScript, outcome: ErrorCode, fields?: FaultCase["fields"]];

const error = (fields: object = {}) => ({
  error: { message: `You sent: ${userText} with ${secretKey}`, ...fields },
});
const after = (seconds: string) => ({ "retry-after": seconds });

const refusals: readonly Row[] = [
  ["400", status(400, error()), "bad_request"],
  ["401", status(401, error({ code: "invalid_api_key" })), "provider_auth"],
  ["402", status(402, error()), "provider_quota"],
  ["403", status(403, error()), "provider_auth"],
  ["404", status(404, error({ code: "model_not_found" })), "bad_request"],
  ["408", status(408), "provider_unavailable"],
  ["409", status(409), "provider_unavailable"],
  ["413", status(413), "prompt_too_long"],
  ["429", status(429, error()), "provider_rate_limited"],
  ["429 with Retry-After", status(429, error(), after("1")), "provider_rate_limited", { retryAfterMs: 1000 }],
  [
    "429 with a long Retry-After",
    status(429, error(), after("3600")),
    "provider_rate_limited",
    { retryAfterMs: 3_600_000 },
  ],
  ["500", status(500, error()), "provider_unavailable"],
  ["502", status(502, `<h1>Bad gateway</h1><p>${userText}</p>`), "provider_unavailable"],
  ["503", status(503), "provider_unavailable"],
  ["503 with Retry-After", status(503, error(), after("1")), "provider_unavailable", { retryAfterMs: 1000 }],
  ["529", status(529, error({ type: "overloaded_error" })), "provider_unavailable"],
  ["a wrong content type", wrongContentType(), "bad_answer"],
  ["a cut before the head", { steps: [{ cut: true }] }, "provider_unavailable"],
  ["a stall before the head", stallAfter(-1), "provider_timeout"],
];

/** Faults after `n` tokens; 0: before the first token. */
function faultsAfter(n: number): readonly Row[] {
  return [
    ["a cut", cutAfter(n), "bad_answer"],
    ["a stall", stallAfter(n), "provider_timeout"],
    ["no final chunk", endAfter(n), "bad_answer"],
    ["[DONE] without a finish reason", noFinishReason(n), "bad_answer"],
    ["truncated JSON", truncatedJson(n), "bad_answer"],
    ["an error in band", inBandError(n), "provider_unavailable"],
    [
      "an overload in band",
      inBandError(n, { message: "busy", type: "overloaded_error", code: 529 }),
      "provider_unavailable",
    ],
    [
      "a rate limit in band",
      inBandError(n, { message: "slow down", code: "rate_limit_exceeded" }),
      "provider_rate_limited",
    ],
    ["an unknown finish reason", finishedBy("abort", answerTokens.slice(0, n)), "bad_answer"],
  ];
}

const oddities: readonly (readonly [string, FaultScript])[] = [
  ["split after every byte", splitEvery(1)],
  ["split after every 7 bytes", splitEvery(7)],
  ["a slow drip", slowDrip(5)],
  ["a duplicate final chunk", duplicateFinal()],
  ["no usage and no [DONE]", bareEnding("end")],
  ["a cut after the finish reason", bareEnding("cut")],
];

const casesOf = (rows: readonly Row[], when: FaultCase["when"]): FaultCase[] =>
  rows.map(([name, script, outcome, fields]) => ({ name, script, outcome, when, ...(fields && { fields }) }));

const wholeCases = (rows: readonly (readonly [string, FaultScript])[]): FaultCase[] =>
  rows.map(([name, script]) => ({ name, script, outcome: "whole", when: "mid_stream" }));

/** Every kind of fault. Faults within a stream occur twice: before the first token and after 4 tokens. */
export const faultCases: readonly FaultCase[] = [
  ...casesOf(refusals, "before_first_token"),
  ...casesOf(faultsAfter(0), "before_first_token"),
  ...casesOf(faultsAfter(4), "mid_stream"),
  ...wholeCases(oddities),
];

const wordings: readonly Row[] = [
  [
    "status 200 with an error as JSON",
    status(200, error({ code: "rate_limit_exceeded" })),
    "provider_rate_limited",
  ],
  ["400 for a context too long", status(400, error({ code: "context_length_exceeded" })), "prompt_too_long"],
  [
    "400 for a context too long in llama-server's wording",
    status(400, { error: { code: 400, message: "too long", type: "exceed_context_size_error" } }),
    "prompt_too_long",
  ],
  [
    "400 for a context too long in vLLM's wording",
    status(400, {
      object: "error",
      message: "This model's maximum context length is 2048 tokens.",
      code: 400,
    }),
    "prompt_too_long",
  ],
  ["400 for refused content", status(400, error({ code: "content_filter" })), "content_refused"],
  [
    "400 for a model that the router does not serve",
    status(400, error({ code: "model_not_supported" })),
    "bad_request",
  ],
  ["404 as a web page", status(404, "<h1>Not found</h1>"), "bad_request"],
  [
    "422 from FastAPI, which quotes the request",
    status(422, { detail: [{ loc: ["body", "seed"], msg: "bad", input: { text: userText } }] }),
    "bad_request",
  ],
  [
    "429 without credit",
    status(429, error({ type: "insufficient_quota", code: "insufficient_quota" })),
    "provider_quota",
  ],
  [
    "a redirect to another address",
    { status: 307, headers: { location: "http://127.0.0.1:9/v1" }, steps: [] },
    "bad_request",
  ],
];

const wordingsMidStream: readonly Row[] = [
  ["a tool call as finish reason", finishedBy("tool_calls"), "bad_answer"],
  ["the content filter", finishedBy("content_filter"), "content_refused"],
  ["an error that is a text in band", inBandError(4, error().error.message), "bad_answer"],
  [
    "vLLM's error in band",
    inBandError(2, { ...error({ type: "InternalServerError", code: 500 }).error }),
    "provider_unavailable",
    { status: 500 },
  ],
];

const endlessLine: FaultScript = { steps: Array.from({ length: 40 }, () => ({ send: "x".repeat(65_536) })) };

/** The same kinds of faults in the wording of different servers. */
export const wordingCases: readonly FaultCase[] = [
  ...casesOf([...wordings, ["a line without end", endlessLine, "bad_answer"]], "before_first_token"),
  ...casesOf(wordingsMidStream, "mid_stream"),
  ...wholeCases([["TGI's finish reason", finishedBy("eos_token")]]),
];

/** An address without a working server. */
export interface BadAddress {
  readonly name: string;
  readonly baseUrl: string;
  /** Network or TLS code that the error must name; undefined if it differs between machines. */
  readonly networkCode: string | undefined;
}

/** Starts all kinds of addresses without a working server. `close` stops the servers behind them. */
export async function startBadAddresses(): Promise<{
  readonly addresses: readonly BadAddress[];
  close(): Promise<void>;
}> {
  const [plain, untrusted, refusing] = await Promise.all([
    startFaultServer(),
    startFaultServer(selfSigned()),
    startFaultServer(),
  ]);
  await refusing.goDown();
  return {
    addresses: [
      {
        name: "an untrusted certificate",
        baseUrl: untrusted.baseUrl,
        networkCode: "DEPTH_ZERO_SELF_SIGNED_CERT",
      },
      {
        name: "plain HTTP where TLS was expected",
        baseUrl: plain.baseUrl.replace("http:", "https:"),
        networkCode: undefined,
      },
      { name: "a refused connection", baseUrl: refusing.baseUrl, networkCode: "ECONNREFUSED" },
      { name: "an unknown host", baseUrl: "http://no-such-host.invalid/v1", networkCode: undefined },
    ],
    async close() {
      await Promise.all([plain.close(), untrusted.close()]);
    },
  };
}
