import type { ProgressReporter } from "../../src/engine-host/model-progress.ts";

export const silentProgress: ProgressReporter = { print() {}, update() {}, end() {} };
