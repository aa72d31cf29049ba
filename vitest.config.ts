import { defineConfig } from "vitest/config";

/**
 * One project for each kind of test. `order` keeps those that measure time or start servers apart from the others,
 * which share the cores of a small machine.
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
      // Tests that stand alone drive the built service, so dist/ has to be up to date.
      ...(options.alone === true && {
        fileParallelism: false,
        globalSetup: ["test/support/build-once.ts"],
      }),
    },
  };
}

export default defineConfig({
  test: {
    // The native parts abort in worker threads.
    pool: "forks",
    // Settings of whoever runs the tests must not change them.
    unstubEnvs: true,
    restoreMocks: true,
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      project("unit", 0, { timeoutMs: 10_000 }),
      project("contract", 0, { timeoutMs: 10_000 }),
      project("integration", 1, { timeoutMs: 60_000, alone: true }),
      project("model", 2, { timeoutMs: 180_000, alone: true }),
      project("browser", 3, { timeoutMs: 120_000, alone: true }),
    ],
  },
});
