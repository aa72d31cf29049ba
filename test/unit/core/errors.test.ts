import { describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../../src/core/error-codes.ts";
import { reportOf, ServiceError } from "../../../src/core/errors.ts";

describe("ServiceError", () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])(
    "takes the default of retryable for %s from the table",
    (code) => {
      const error = new ServiceError(code, "text");
      expect(error.report()).toEqual({ code, message: "text", retryable: errorCodes[code].retryable });
    },
  );

  it("accepts other values for retryable and the retry delay", () => {
    const error = new ServiceError("bad_request", "text", { retryable: true, retryAfterMs: 0 });
    expect(error.report()).toEqual({
      code: "bad_request",
      message: "text",
      retryable: true,
      retryAfterMs: 0,
    });
  });
});

describe("reportOf", () => {
  it("reports code and message of a ServiceError, but not its cause", () => {
    const error = new ServiceError("busy", "Try again.", { cause: new Error("key sk-1") });
    expect(reportOf(error)).toEqual({ code: "busy", message: "Try again.", retryable: true });
  });

  it.each([
    new Error("password in a stack"),
    "a string",
    undefined,
    null,
    { code: "busy", message: "forged" },
  ])("hides the text of anything else (%s)", (thrown) => {
    const report = reportOf(thrown);
    expect(report).toMatchObject({ code: "internal", retryable: true });
    expect(report.message).not.toMatch(/password|forged|string/);
  });
});
