import { describe, expect, it } from "vitest";
import { failureLines, skipLines, summaryLine } from "../support/summary-reporter.ts";

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

describe("failureLines", () => {
  it("has the first line of each message, without colours, and at most 20 failures", () => {
    const failures = Array.from({ length: 23 }, (_, index) => ({
      what: `a.test.ts > ${index}`,
      error: new Error("\u001B[31mexpected\u001B[39m 1\nto be 2"),
    }));
    const lines = failureLines(failures);
    expect(lines).toHaveLength(21);
    expect(lines[0]).toBe("FAILED  a.test.ts > 0: expected 1");
    expect(lines.at(-1)).toBe("FAILED  3 more");
  });

  it("shows a thrown value that is no error", () => {
    expect(failureLines([{ what: "unhandled error", error: "text" }])).toEqual([
      "FAILED  unhandled error: text",
    ]);
  });
});
