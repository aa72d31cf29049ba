import { relative } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";

/** How a run ended, in numbers. */
export interface Summary {
  readonly passed: number;
  /** Failed tests and, one each, files that could not be loaded, failed hooks, and errors that no test caught. */
  readonly failed: number;
  readonly skipped: number;
}

/** A test that did not run, and why. */
export interface SkippedTest {
  readonly file: string;
  readonly name: string;
  readonly reason: string;
}

/** The plain line that closes a run. */
export function summaryLine({ passed, failed, skipped }: Summary): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** One line for each file and reason, so that one missing model is not told fifty times. */
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

/** Closes each run with {@link summaryLine}, tells why tests were skipped, and fails a run that ran no test. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skipped = tests.filter((test) => test.result().state === "skipped");
    const summary: Summary = {
      passed: count(tests, "passed"),
      // A test without a result was cut off: that is no pass.
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

/** Files and suites that failed by themselves: an import or a hook threw. */
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
