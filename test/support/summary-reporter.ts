import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";

/** Counts of a test run. */
export interface Summary {
  readonly passed: number;
  /** Failed tests, plus one for each file that could not be loaded, each failed hook and each unhandled error. */
  readonly failed: number;
  readonly skipped: number;
}

/** A test that did not run, and why. */
export interface SkippedTest {
  readonly file: string;
  readonly name: string;
  readonly reason: string;
}

/** The last line of a run: `12 passed, 0 failed, 3 skipped`. */
export function summaryLine({ passed, failed, skipped }: Summary): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** One line per file and reason, so that the same reason is not printed for each test. */
export function skipLines(skipped: readonly SkippedTest[]): string[] {
  const groups = new Map<string, SkippedTest[]>();
  for (const test of skipped) {
    const key = `${test.file}: ${test.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), test]);
  }
  return [...groups].map(([key, tests]) => {
    const which = tests.length === 1 ? `"${tests[0]?.name}"` : `${tests.length} tests`;
    return `skipped ${which} of ${key}`;
  });
}

/** Prints why tests were skipped and then {@link summaryLine}. Fails a run in which no test ran. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skipped = tests.filter((test) => test.result().state === "skipped");
    const summary: Summary = {
      passed: count(tests, "passed"),
      // A test without a result was interrupted and counts as failed.
      failed:
        count(tests, "failed") + count(tests, "pending") + brokenSuites(modules) + unhandledErrors.length,
      skipped: skipped.length,
    };
    if (summary.failed > 0 || summary.passed === 0) process.exitCode = 1;
    const lines = skipLines(skipped.map(describeSkip));
    if (summary.passed + summary.failed === 0) lines.push("no test ran: that counts as a failure");
    console.log([...lines, summaryLine(summary)].join("\n"));
  }
}

function count(tests: readonly TestCase[], state: "passed" | "failed" | "pending"): number {
  return tests.filter((test) => test.result().state === state).length;
}

/** Number of errors of files and suites themselves, thrown by an import or a hook. */
function brokenSuites(modules: readonly TestModule[]): number {
  return modules
    .flatMap((module) => [module, ...module.children.allSuites()])
    .reduce((sum, suite) => sum + suite.errors().length, 0);
}

function describeSkip(test: TestCase): SkippedTest {
  const result = test.result();
  const note = result.state === "skipped" ? result.note : undefined;
  return {
    file: relative(process.cwd(), test.module.moduleId),
    name: test.fullName,
    reason: note ?? "no reason given",
  };
}
