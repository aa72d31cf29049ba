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
import { selfSigned } from "./self-signed.ts";

/** One fault script by name, for tests that run over all of them. */
export interface FaultCase {
  readonly name: string;
  readonly script: FaultScript;
  /** Whether text goes out before the fault. What gives a whole answer stands under `mid_stream`. */
  readonly when: "before_first_token" | "mid_stream";
  /**
   * `whole`: the answer is whole although it looks odd. Else the code of the error that a remote provider throws;
   * `provider_timeout`: only a deadline ends it.
   */
  readonly outcome: "whole" | ErrorCode;
}

const refusals: readonly (readonly [string, FaultScript, ErrorCode])[] = [
  ["400", status(400), "bad_request"],
  ["401", status(401), "provider_auth"],
  ["402", status(402), "provider_quota"],
  ["403", status(403), "provider_auth"],
  ["404", status(404), "bad_request"],
  ["408", status(408), "provider_unavailable"],
  ["409", status(409), "provider_unavailable"],
  ["413", status(413), "prompt_too_long"],
  ["429", status(429), "provider_rate_limited"],
  [
    "429 with Retry-After",
    status(429, { error: { message: "no" } }, { "retry-after": "1" }),
    "provider_rate_limited",
  ],
  [
    "429 with a long Retry-After",
    status(429, { error: { message: "no" } }, { "retry-after": "3600" }),
    "provider_rate_limited",
  ],
  ["500", status(500), "provider_unavailable"],
  ["502", status(502, "<h1>Bad gateway</h1>"), "provider_unavailable"],
  ["503", status(503), "provider_unavailable"],
  [
    "503 with Retry-After",
    status(503, { error: { message: "no" } }, { "retry-after": "1" }),
    "provider_unavailable",
  ],
  ["529", status(529, { error: { type: "overloaded_error" } }), "provider_unavailable"],
  ["a wrong content type", wrongContentType(), "bad_answer"],
  ["a cut before the head", { steps: [{ cut: true }] }, "provider_unavailable"],
  ["a stall before the head", stallAfter(-1), "provider_timeout"],
];

/** Faults that can come before the first token and after `n`. */
function faultsAfter(n: number): readonly (readonly [string, FaultScript, ErrorCode])[] {
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

/** Every fault script; those of a stream once before the first token and once after 4 tokens. */
export const faultCases: readonly FaultCase[] = [
  ...refusals.concat(faultsAfter(0)).map(([name, script, outcome]) => {
    return { name, script, outcome, when: "before_first_token" as const };
  }),
  ...faultsAfter(4).map(([name, script, outcome]) => {
    return { name, script, outcome, when: "mid_stream" as const };
  }),
  ...oddities.map(([name, script]) => {
    return { name, script, outcome: "whole" as const, when: "mid_stream" as const };
  }),
];

/** An address at which no answer can be had. */
export interface BadAddress {
  readonly name: string;
  readonly baseUrl: string;
  /** The code of the system or of TLS that the error names; undefined where it differs by machine. */
  readonly networkCode: string | undefined;
}

/** All kinds of addresses at which nothing answers. `close` ends the servers behind them. */
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
        name: "a certificate that nobody vouches for",
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
