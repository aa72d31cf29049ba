import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../../src/core/error-codes.ts";
import { upstreamFaults, type RemoteNames } from "../../../src/providers/remote/fault-table.ts";
import { finishWords } from "../../../src/providers/remote/reply/finish-reasons.ts";
import { mapFault, readFault } from "../../../src/providers/remote/http-errors.ts";
import { tableAfter } from "../../support/page-table.ts";

const page = readFileSync(new URL("../../../docs/providers.md", import.meta.url), "utf8");
const names: RemoteNames = {
  provider: "openai",
  keySetting: "`…_API_KEY`",
  modelSetting: "the model's setting",
  baseUrlSetting: "`…_BASE_URL`",
  windowSetting: "`…_CONTEXT_TOKENS`",
};

/** Meaning of each kind of finish reason, as the page describes it. */
const meanings: Readonly<Record<(typeof finishWords)[number]["meaning"], string>> = {
  stop: "a whole answer",
  length: "an answer cut by a limit: finish reason `length`",
  content_filter: "the content was refused: `content_refused`",
  failed: "the server broke the answer off: `bad_answer`",
  none: "the answer goes on, as without a finish reason",
};

/** One error response (status and body) for each row of the table, in its order. */
const examples: readonly (readonly [number | undefined, unknown])[] = [
  [400, { error: { code: "content_policy_violation" } }],
  [400, { error: { message: "This model's maximum context length is 4096 tokens." } }],
  [403, { error: { code: "unsupported_country_region_territory" } }],
  [400, { error: { code: "organization_restricted" } }],
  [429, { error: { code: "insufficient_quota", type: "insufficient_quota" } }],
  [429, { error: { code: "billing_not_active" } }],
  [403, "<!doctype html><title>Access denied</title>"],
  [400, { error: { type: "authentication_error" } }],
  [400, { error: { code: "model_not_supported" } }],
  [undefined, { error: "Unexpected endpoint or method. (POST /chat/completions)" }],
  [400, { error: { code: "rate_limit_exceeded" } }],
  [undefined, { error: { type: "server_error" } }],
  [403, {}],
  [402, {}],
  [429, "<h1>slow down</h1>"],
  [529, {}],
  [404, {}],
  [307, ""],
  [418, {}],
  [undefined, { error: { message: "boom" } }],
];

describe("docs/providers.md", () => {
  it("lists every error response as the code maps it", () => {
    const wanted = upstreamFaults.map(({ when, code, describe }) => [
      when,
      `\`${code}\``,
      errorCodes[code].retryable ? "yes" : "no",
      describe(names),
    ]);
    expect(tableAfter(page, "<!-- upstream faults:")).toEqual(wanted);
  });

  it("lists every finish reason as the code understands it", () => {
    const wanted = finishWords.map(({ meaning, words }) => [
      words.map((word) => `\`${word}\``).join(", "),
      meanings[meaning],
    ]);
    expect(tableAfter(page, "<!-- finish reasons:")).toEqual(wanted);
  });

  it("has one example response for each row, which matches that row first", () => {
    expect(examples).toHaveLength(upstreamFaults.length);
    for (const [index, [status, body]] of examples.entries()) {
      const fault = readFault(body, status);
      expect(upstreamFaults.findIndex(({ matches }) => matches(fault))).toBe(index);
      const row = upstreamFaults[index];
      expect(mapFault(names, fault)).toMatchObject({ code: row?.code });
    }
  });

  it("lists own faults with the default retryability of their codes", () => {
    const rows = tableAfter(page, "<!-- own faults:");
    expect(rows.length).toBeGreaterThan(5);
    for (const [what, code = "", retryable] of rows) {
      const entry = errorCodes[code.replaceAll("`", "") as ErrorCode];
      expect(entry, what).toBeDefined();
      expect(retryable, what).toBe(entry.retryable ? "yes" : "no");
    }
  });
});
