import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeEach } from "vitest";

const file = fileURLToPath(new URL("../../models/SmolLM2-135M-Instruct.Q4_1.gguf", import.meta.url));

/** The real model of the tests; undefined where it was not fetched. */
export const realModel: string | undefined = existsSync(file) ? file : undefined;

/** Skips the tests of a suite, with the reason, where there is no real model. */
export function skipWithoutRealModel(): void {
  beforeEach(({ skip }) => {
    if (realModel === undefined)
      skip("models/ lacks SmolLM2; `npm run model -- smollm2-135m-instruct` fetches it");
  });
}
