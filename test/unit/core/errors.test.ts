import { describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../../src/core/error-codes.ts";
import { reportOf, ServiceError } from "../../../src/core/errors.ts";

describe("ServiceError", () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])(
    "takes whether %s is worth a retry from the table",
    (code) => {
      const error = new ServiceError(code, "text");
      expect(error.report()).toEqual({ code, message: "text", retryable: errorCodes[code].retryable });
    },
  );

  it("lets the place that met the fault decide otherwise, and say when to come back", () => {
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
  it("reports what may be shown, and never its cause", () => {
    const error = new ServiceError("busy", "Come back.", { cause: new Error("key sk-1") });
    expect(reportOf(error)).toEqual({ code: "busy", message: "Come back.", retryable: true });
  });

  it.each([
    new Error("password in a stack"),
    "a string",
    undefined,
    null,
    { code: "busy", message: "forged" },
  ])("hides anything else (%s)", (thrown) => {
    const report = reportOf(thrown);
    expect(report).toMatchObject({ code: "internal", retryable: true });
    expect(report.message).not.toMatch(/password|forged|string/);
  });
});
