import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { errorCodes } from "../../../../src/core/error-codes.ts";
import type { RemoteNames } from "../../../../src/providers/remote/fault-table.ts";
import {
  mapFault,
  mapNetworkFault,
  readFault,
  retryAfterOf,
} from "../../../../src/providers/remote/http-errors.ts";

const names: RemoteNames = {
  provider: "openai",
  keySetting: "OPENAI_API_KEY",
  modelSetting: "AI_MODEL",
  baseUrlSetting: "OPENAI_BASE_URL",
  windowSetting: "OPENAI_CONTEXT_TOKENS",
};
const wall = Date.UTC(2030, 0, 1);

describe("retryAfterOf", () => {
  it.each([
    [{ "retry-after": "3" }, 3000],
    [{ "retry-after": "0.5" }, 500],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": new Date(wall + 5000).toUTCString() }, 5000],
    [{ "retry-after": new Date(wall - 5000).toUTCString() }, 0],
    [{ "retry-after": "9999999999" }, 86_400_000],
    [{ "retry-after-ms": "120", "retry-after": "3" }, 120],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "-1" }, undefined],
    [{ "retry-after": "" }, undefined],
    [{}, undefined],
  ])("reads the time to wait from %j", (headers, expected) => {
    expect(retryAfterOf(new Headers(headers), wall)).toBe(expected);
  });
});

describe("the mapping of upstream errors", () => {
  it("accepts any body and status, and shows nothing of the body", () => {
    const secret = "q7secret7q";
    const text = fc.oneof(fc.constant(secret), fc.constant(`maximum context ${secret}`));
    const value = fc.oneof(text, fc.jsonValue());
    const fields = fc.dictionary(
      fc.constantFrom("message", "code", "type", "param", "detail", "loc", "msg", "input"),
      value,
    );
    const body = fc.oneof(value, fc.record({ error: fc.oneof(value, fields) }), fields);
    const status = fc.option(fc.integer({ min: 300, max: 599 }), { nil: undefined });
    fc.assert(
      fc.property(body, status, (given, code) => {
        const error = mapFault(names, readFault(given, code), ["seed"]);
        expect(error.message).not.toContain(secret);
        expect(error.retryable).toBe(errorCodes[error.code].retryable);
        expect(error.cause).toBeUndefined();
      }),
    );
  });

  it.each([
    [401, "OPENAI_API_KEY"],
    [404, "AI_MODEL"],
    [404, "OPENAI_BASE_URL"],
    [413, "OPENAI_CONTEXT_TOKENS"],
    [301, "OPENAI_BASE_URL"],
  ])("names the setting to fix for status %i: %s", (status, setting) => {
    expect(mapFault(names, readFault("", status)).message).toContain(setting);
  });

  it("ignores the user's text that FastAPI quotes", () => {
    const detail = [{ loc: ["body", "seed"], msg: "bad", input: "maximum context length" }];
    expect(mapFault(names, readFault({ detail }, 422)).code).toBe("bad_request");
  });
});

describe("the mapping of network errors", () => {
  const failed = (cause: object) => new TypeError("fetch failed", { cause });

  it.each([
    ["ECONNREFUSED", false, "provider_unavailable"],
    ["ENOTFOUND", false, "provider_unavailable"],
    ["CERT_HAS_EXPIRED", false, "provider_unavailable"],
    ["UND_ERR_CONNECT_TIMEOUT", false, "provider_unavailable"],
    ["UND_ERR_HEADERS_TIMEOUT", false, "provider_timeout"],
    ["UND_ERR_BODY_TIMEOUT", true, "provider_timeout"],
    ["ECONNRESET", true, "bad_answer"],
  ])("maps %s (begun: %s) to %s", (code, begun, expected) => {
    const error = mapNetworkFault(names, failed({ code }), begun);
    expect(error.code).toBe(expected);
    expect(error.message).toContain(code);
    expect(error.retryable).toBe(true);
  });

  it("finds the code in the errors of all tried addresses, and shows no foreign text", () => {
    const cause = new AggregateError([Object.assign(new Error("x"), { code: "ECONNREFUSED" })]);
    expect(mapNetworkFault(names, failed(cause), false).message).toContain("ECONNREFUSED");
    const odd = mapNetworkFault(names, Object.assign(new Error("secret"), { code: "a secret" }), false);
    expect(odd.message).not.toContain("secret");
  });
});

describe("the words of a refusal", () => {
  it("are searched for in a short time, whatever the text", () => {
    const pieces = [
      "x",
      " ",
      "\n",
      "1",
      "token ",
      "model ",
      "prompt ",
      "api key ",
      "max_tokens ",
      "not ",
      "try again in 1m",
    ];
    for (const piece of pieces) {
      const text = piece.repeat(65_536 / piece.length);
      for (const body of [text, { error: { message: text, code: text } }, [[[[[text]]]]]]) {
        expect(mapFault(names, readFault(body, 400)).message).not.toContain(text);
      }
    }
    // One pattern with two unbounded repetitions takes half a minute for one of these texts.
  }, 20_000);

  it("are found in linear time in codes and times to wait, whatever their length and number", () => {
    const digits = "1".repeat(1_000_000);
    const codes = Array.from({ length: 90_000 }, (_, code) => ({ code }));
    for (const body of [{ retryDelay: digits }, { message: `try again in 1s${digits}` }, codes]) {
      expect(mapFault(names, readFault({ error: body })).code).toBe("bad_answer");
    }
    expect(readFault({ retryDelay: "1m2.5s" }).retryAfterMs).toBe(62_500);
    expect(readFault({ error: [{ code: "invalid_api_key" }, ...codes] }).labels[0]).toBe("invalid_api_key");
  });

  it("finds the code at every level, and stops at a depth that no server sends", () => {
    let body: unknown = { code: "insufficient_quota" };
    for (let depth = 0; depth < 4; depth++) body = depth % 2 === 0 ? [body] : { error: body };
    expect(mapFault(names, readFault(body, 429)).code).toBe("provider_quota");
    for (let depth = 0; depth < 1000; depth++) body = { error: body };
    expect(mapFault(names, readFault(body, 429)).code).toBe("provider_rate_limited");
  });
});
