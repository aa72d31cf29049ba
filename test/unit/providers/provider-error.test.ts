import { describe, expect, it } from "vitest";
import { errorCodes, type ErrorCode } from "../../../src/core/error-codes.ts";
import { operatorReportOf, reportOf, ServiceError } from "../../../src/core/errors.ts";
import { combinedError } from "../../../src/providers/chain/failures.ts";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import { findDisclosure } from "../../support/disclosure.ts";

const codes = Object.keys(errorCodes) as ErrorCode[];
const FOR_OPERATORS =
  "/srv/models/a.gguf cannot be read; set MODEL_PATH or ask llm.example.org (ECONNREFUSED, sk-1234)";

describe("an error of a provider", () => {
  it.each(codes)("with code %s shows clients nothing of its message, and operators all of it", (code) => {
    const error = new ProviderError("openai", code, FOR_OPERATORS, { retryAfterMs: 5, cause: FOR_OPERATORS });
    const report = reportOf(error);
    expect(report).toMatchObject({ code, retryAfterMs: 5 });
    expect(report.message).toMatch(/^[A-Z].*[a-z].*\.$/);
    expect(findDisclosure(report.message)).toBeUndefined();
    expect(report.message).not.toMatch(/srv|example|ECONN|sk-/);
    expect(operatorReportOf(error).message).toBe(FOR_OPERATORS);
  });

  it("combined from several providers shows clients nothing of any message", () => {
    const failures = codes.map((code, index) => ({
      provider: `p${index}`,
      error: new ProviderError(`p${index}`, code, FOR_OPERATORS),
    }));
    for (let from = 0; from + 1 < failures.length; from++) {
      const error = combinedError(failures.slice(from));
      expect(findDisclosure(reportOf(error).message)).toBeUndefined();
      expect(error.message).toContain(FOR_OPERATORS);
    }
  });

  it("passes on a text that was written for clients", () => {
    const error = new ProviderError("local", "prompt_too_long", FOR_OPERATORS, {
      clientMessage: "Too long.",
    });
    expect(reportOf(error).message).toBe("Too long.");
    expect(reportOf(new ServiceError("busy", "Wait.")).message).toBe("Wait.");
  });
});
