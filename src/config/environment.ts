import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "./config-error.ts";
import { parseEnvFile } from "./env-file.ts";
import { loadConfig, type LoadedConfig } from "./load.ts";

/** The only place in `src/` that reads `process.env`. */
export const processEnvironment = (): Record<string, string | undefined> => process.env;

/**
 * Loads the configuration of a process that runs in `cwd`.
 *
 * @throws ConfigError that lists the faults of `.env` together with those of all values
 */
export function loadFrom(cwd: string): LoadedConfig {
  const { env, faults } = gather(cwd);
  if (faults.length === 0) return loadConfig(env);
  try {
    loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError([...faults, ...error.faults]);
  }
  throw new ConfigError(faults);
}

/** Merges the variables of `.env` in `cwd`, if it exists, with those of the process, which take precedence. */
function gather(cwd: string): { env: Record<string, string | undefined>; faults: string[] } {
  const file = readEnvFile(join(cwd, ".env"));
  return { env: { ...Object.fromEntries(file.values), ...processEnvironment() }, faults: file.faults };
}

function readEnvFile(path: string): { values: ReadonlyMap<string, string>; faults: string[] } {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const faults = code === "ENOENT" ? [] : [`.env: cannot be read (${code ?? "unknown error"})`];
    return { values: new Map(), faults };
  }
  const { values, faults } = parseEnvFile(text);
  return { values, faults: faults.map((fault) => `.env ${fault}`) };
}
