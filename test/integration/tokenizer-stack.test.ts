import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { bpeGguf } from "../support/bpe-gguf.ts";
import { cachedFile } from "../support/cached-file.ts";

/**
 * Names of pre-tokenizers whose regular expressions recurse for each character of a run. Without pieces, each of them
 * overflows a stack of 2 MiB at 32,000 characters of at least one kind.
 */
const RECURSIVE = ["default", "deepseek-llm", "exaone-moe", "gpt-4o", "minimax-m2", "youtu"];
const ITERATIVE = ["llama-bpe", "gpt-2"];
const STACK_KIB = 2048;

const script = fileURLToPath(new URL("../fixtures/tokenize-runs.ts", import.meta.url));

describe("a run of one character that fills a message", () => {
  it.skipIf(process.platform === "win32")(
    "does not overflow the stack of any tokenizer",
    async () => {
      const paths = await Promise.all(
        [...RECURSIVE, ...ITERATIVE].map((name) => cachedFile("bpe-gguf", `${name}.gguf`, [bpeGguf(name)])),
      );
      const command = `ulimit -s ${STACK_KIB} && exec "$0" "$@"`;
      const tsx = import.meta.resolve("tsx");
      const args = ["-c", command, process.execPath, "--import", tsx, script, ...paths];
      const { stdout } = await promisify(execFile)("sh", args);
      const results = JSON.parse(stdout) as Record<string, Record<string, boolean>>;
      expect(Object.keys(results)).toEqual(paths);
      for (const ofModel of Object.values(results)) {
        const wrong = Object.entries(ofModel).filter(([, right]) => !right);
        expect(wrong).toEqual([]);
        expect(Object.keys(ofModel).length).toBeGreaterThan(10);
      }
    },
    180_000,
  );
});
