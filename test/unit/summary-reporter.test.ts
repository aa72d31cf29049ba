import { describe, expect, it } from "vitest";
import { skipLines, summaryLine } from "../support/summary-reporter.ts";

describe("the summary of a test run", () => {
  it("is one line with the counts", () => {
    expect(summaryLine({ passed: 12, failed: 0, skipped: 3 })).toBe("12 passed, 0 failed, 3 skipped");
  });

  it("prints the same reason of several skipped tests once", () => {
    const test = (file: string, name: string, reason: string) => ({ file, name, reason });
    expect(
      skipLines([
        test("a.test.ts", "one", "no model"),
        test("a.test.ts", "two", "no model"),
        test("b.test.ts", "three", "no network"),
      ]),
    ).toEqual(["skipped 2 tests of a.test.ts: no model", 'skipped "three" of b.test.ts: no network']);
  });
});
