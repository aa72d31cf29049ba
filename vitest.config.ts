import { defineConfig } from "vitest/config";

/**
 * One project per kind of test. Projects with a higher `order` run later, so that tests that measure time or start
 * servers do not share the cores of a small machine with the others. `alone`: the files run one after the other.
 */
function project(name: string, order: number, options: { timeoutMs: number; alone?: boolean }) {
  return {
    extends: true as const,
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      testTimeout: options.timeoutMs,
      hookTimeout: options.timeoutMs,
      sequence: { groupOrder: order },
      // These tests use the built service, so dist/ must be up to date.
      ...(options.alone === true && {
        fileParallelism: false,
        globalSetup: ["test/support/build-once.ts"],
      }),
    },
  };
}

export default defineConfig({
  test: {
    // Native modules abort in worker threads.
    pool: "forks",
    // Restores environment variables that a test has stubbed, so that they do not affect the next test.
    unstubEnvs: true,
    restoreMocks: true,
    // The default of 1 s is too short for real sockets and processes on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      project("unit", 0, { timeoutMs: 30_000 }),
      project("contract", 0, { timeoutMs: 30_000 }),
      project("integration", 1, { timeoutMs: 120_000, alone: true }),
      project("model", 2, { timeoutMs: 180_000, alone: true }),
      project("browser", 3, { timeoutMs: 120_000, alone: true }),
    ],
  },
});
