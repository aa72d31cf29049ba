import type { ProgressReporter } from "../../src/engine-host/model-progress.ts";

/** A progress reporter that prints nothing. */
export const silentProgress: ProgressReporter = { print() {}, update() {}, end() {} };
