import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "./config-error.ts";
import { parseEnvFile } from "./env-file.ts";
import { loadConfig, type ConfigCheck, type LoadedConfig } from "./load.ts";
import { withProxyNames } from "./network-settings.ts";
import { encodingFault } from "./text-encoding.ts";

/** The only place in `src/` that reads `process.env`. */
export const processEnvironment = (): Record<string, string | undefined> => process.env;

/**
 * Loads the configuration of a process that runs in `cwd`.
 *
 * @param checks further checks, such as of files that settings name
 * @throws ConfigError that lists the faults of `.env` together with those of all values and checks
 */
export function loadFrom(cwd: string, checks: readonly ConfigCheck[] = []): LoadedConfig {
  const { env, faults } = gather(cwd);
  if (faults.length === 0) return loadConfig(env, checks);
  try {
    loadConfig(env, checks);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError([...faults, ...error.faults]);
  }
  throw new ConfigError(faults);
}

/** Merges the variables of `.env` in `cwd`, if it exists, with those of the process, which take precedence. */
function gather(cwd: string): { env: Record<string, string | undefined>; faults: string[] } {
  const file = readEnvFile(join(cwd, ".env"));
  const fromFile = withProxyNames(Object.fromEntries(file.values));
  return { env: { ...fromFile, ...withProxyNames(processEnvironment()) }, faults: file.faults };
}

function readEnvFile(path: string): { values: ReadonlyMap<string, string>; faults: string[] } {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const faults = code === "ENOENT" ? [] : [`.env: cannot be read (${code ?? "unknown error"})`];
    return { values: new Map(), faults };
  }
  const fault = encodingFault(bytes);
  if (fault !== undefined) return { values: new Map(), faults: [`.env: ${fault}`] };
  const { values, faults } = parseEnvFile(bytes.toString("utf8"));
  return { values, faults: faults.map((fault) => `.env ${fault}`) };
}
