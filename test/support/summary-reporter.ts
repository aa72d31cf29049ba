import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
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

/** What failed, and the message of its first error. */
interface Failure {
  readonly what: string;
  readonly error: unknown;
}

/** Maximum number of failures that are repeated at the end, and of characters of each message. */
const MAX_FAILURES = 20;
const MAX_MESSAGE_CHARS = 300;

/** One line per failure, so that the end of a long output says what failed. `.ci/run` collects these lines. */
export function failureLines(failures: readonly Failure[]): string[] {
  const lines = failures
    .slice(0, MAX_FAILURES)
    .map(({ what, error }) => `FAILED  ${what}: ${messageOf(error).slice(0, MAX_MESSAGE_CHARS)}`);
  const rest = failures.length - lines.length;
  return rest > 0 ? [...lines, `FAILED  ${rest} more`] : lines;
}

function messageOf(error: unknown): string {
  const message = (error as { readonly message?: unknown } | undefined)?.message ?? error;
  return stripVTControlCharacters(String(message)).split("\n", 1)[0] as string;
}

/** Prints why tests were skipped, what failed, and then {@link summaryLine}. Fails a run in which no test ran. */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skipped = tests.filter((test) => test.result().state === "skipped");
    const failures = [
      ...tests.flatMap(failureOf),
      ...failedSuites(modules),
      ...unhandledErrors.map((error) => ({ what: "unhandled error", error })),
    ];
    const summary: Summary = {
      passed: tests.filter((test) => test.result().state === "passed").length,
      failed: failures.length,
      skipped: skipped.length,
    };
    if (summary.failed > 0 || summary.passed === 0) process.exitCode = 1;
    const lines = [...skipLines(skipped.map(describeSkip)), ...failureLines(failures)];
    if (summary.passed + summary.failed === 0) lines.push("no test ran: that counts as a failure");
    console.log([...lines, summaryLine(summary)].join("\n"));
  }
}

/** The failure of a test; none if it passed or was skipped. A test without a result was interrupted and has failed. */
function failureOf(test: TestCase): Failure[] {
  const { state, errors } = test.result();
  if (state === "passed" || state === "skipped") return [];
  return [{ what: `${fileOf(test.module)} > ${test.fullName}`, error: errors?.[0] ?? "no result" }];
}

/** Errors of files and suites themselves, thrown by an import or a hook. */
function failedSuites(modules: readonly TestModule[]): Failure[] {
  return modules.flatMap((module) =>
    [module, ...module.children.allSuites()].flatMap((suite) =>
      suite.errors().map((error) => ({ what: fileOf(module), error })),
    ),
  );
}

function fileOf(module: TestModule): string {
  return relative(process.cwd(), module.moduleId);
}

function describeSkip(test: TestCase): SkippedTest {
  const result = test.result();
  const note = result.state === "skipped" ? result.note : undefined;
  return {
    file: fileOf(test.module),
    name: test.fullName,
    reason: note ?? "no reason given",
  };
}
