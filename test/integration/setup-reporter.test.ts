import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const head = 'import { describe, expect, it } from "vitest";\n';

/** Runs vitest with the project's reporter on a temporary project with the given test files. */
async function runTests(files: Readonly<Record<string, string>>) {
  const root = await mkdtemp(join(tmpdir(), "reporter-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await symlink(join(repository, "node_modules"), join(root, "node_modules"));
  const reporter = join(repository, "test/support/summary-reporter.ts");
  await writeFile(join(root, "package.json"), '{"type":"module"}');
  const config = { test: { pool: "forks", reporters: ["default", reporter] } };
  await writeFile(join(root, "vitest.config.mjs"), `export default ${JSON.stringify(config)};\n`);
  for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
  return new Promise<{ failed: boolean; lines: string[] }>((resolve) => {
    const command = join(repository, "node_modules/vitest/vitest.mjs");
    execFile(process.execPath, [command, "run", "--root", root], { cwd: root }, (error, out) =>
      resolve({ failed: error !== null, lines: out.trimEnd().split("\n") }),
    );
  });
}

describe("the test reporter", () => {
  it("ends with one line of counts, after the reasons for skipped tests", async () => {
    const { failed, lines } = await runTests({
      "a.test.ts": `${head}it("a", () => expect(1).toBe(1));
        it("b", ({ skip }) => skip("no model here"));
        it("c", ({ skip }) => skip("no model here"));
        it.skip("d", () => undefined);`,
    });
    expect(lines.slice(-3)).toEqual([
      "skipped 2 tests of a.test.ts: no model here",
      'skipped "d" of a.test.ts: no reason given',
      "1 passed, 0 failed, 3 skipped",
    ]);
    expect(failed).toBe(false);
  });

  it("counts and names failed tests, files that cannot be loaded, failed hooks and stray errors", async () => {
    const { failed, lines } = await runTests({
      "fails.test.ts": `${head}it("a", () => expect(1).toBe(2)); it("b", () => expect(1).toBe(1));`,
      "broken.test.ts": 'import "./no-such-file.ts";',
      "hook.test.ts": `${head}import { afterAll } from "vitest";
        describe("x", () => { afterAll(() => { throw new Error("hook"); }); it("c", () => expect(1).toBe(1)); });`,
      "stray.test.ts": `${head}it("d", async () => {
        setTimeout(() => { throw new Error("stray"); }, 0);
        await new Promise((resolve) => setTimeout(resolve, 50));
      });`,
    });
    expect(lines.at(-1)).toBe("3 passed, 4 failed, 0 skipped");
    expect(lines.slice(-5, -1).toSorted()).toEqual([
      expect.stringMatching(/^FAILED {2}broken\.test\.ts: .*no-such-file/),
      expect.stringMatching(/^FAILED {2}fails\.test\.ts > a: expected 1 to be 2/),
      "FAILED  hook.test.ts: hook",
      "FAILED  unhandled error: stray",
    ]);
    expect(failed).toBe(true);
  });

  it("fails a run in which every test was skipped", async () => {
    const { failed, lines } = await runTests({
      "a.test.ts": `${head}it.skip("a", () => expect(1).toBe(1));`,
    });
    expect(lines.slice(-2)).toEqual([
      "no test ran: that counts as a failure",
      "0 passed, 0 failed, 1 skipped",
    ]);
    expect(failed).toBe(true);
  });

  it("fails a run without tests", async () => {
    const { failed, lines } = await runTests({});
    expect(lines.at(-1)).toBe("0 passed, 0 failed, 0 skipped");
    expect(failed).toBe(true);
  });
});
