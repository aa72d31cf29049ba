import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeEach } from "vitest";

const file = fileURLToPath(new URL("../../models/SmolLM2-135M-Instruct.Q4_1.gguf", import.meta.url));

/** Path of the real model of the tests; undefined if it was not downloaded. */
export const realModel: string | undefined = existsSync(file) ? file : undefined;

/** Skips the tests of a suite, with a reason, if there is no real model. */
export function skipWithoutRealModel(): void {
  beforeEach(({ skip }) => {
    if (realModel === undefined)
      skip("SmolLM2 is missing in models/; download it with `npm run model -- smollm2-135m-instruct`");
  });
}
