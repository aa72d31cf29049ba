import { MIN_SECRET_BYTES } from "../core/ids.ts";
import { ConfigError } from "./config-error.ts";
import { nearestName } from "../core/edit-distance.ts";
import { settings, type Config } from "./schema.ts";
import type { Setting } from "./setting.ts";

/** Environment variables by name; real ones and those of `.env` together. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadedConfig {
  readonly config: Config;
  /** For people, one line each; the start goes on. */
  readonly warnings: readonly string[];
}

const SHOWN_VALUE_CHARS = 80;

/** Variables that begin like this are ours, so that an unknown one is a slip. */
const ownPrefixes = [
  "AI_",
  "LOCAL_",
  "MAX_",
  "JWT_",
  "OPENAI_",
  "HF_",
  "ECHO_",
  "CORS_",
  "ALLOWED_",
  "TRUSTED_",
  "RATE_",
];

/** Other programs' variables that begin like ours: those of the OpenAI SDK and of the Hugging Face tools. */
const foreignNames = new Set([
  "OPENAI_ADMIN_KEY",
  "OPENAI_API_VERSION",
  "OPENAI_CUSTOM_HEADERS",
  "OPENAI_LOG",
  "OPENAI_ORG_ID",
  "OPENAI_PROJECT_ID",
  "OPENAI_WEBHOOK_SECRET",
  "HF_HOME",
  "HF_TOKEN",
]);

/**
 * Reads every setting from `env`. Pure: files and `process.env` are read by `environment.ts`.
 *
 * @throws ConfigError that lists all faults at once.
 */
export function loadConfig(env: Environment): LoadedConfig {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, setting] of Object.entries(settings)) {
    const given = env[name];
    values[name] = given === undefined ? setting.fallback : readSetting(name, setting, given, faults);
  }
  const config = values as Config;
  faults.push(...crossFaults(config, env));
  if (faults.length > 0) throw new ConfigError(faults);
  return { config, warnings: [...unknownNames(env), ...doubts(config)] };
}

function readSetting(name: string, setting: Setting<unknown>, given: string, faults: string[]): unknown {
  try {
    return setting.parse(given);
  } catch (error) {
    const wanted = error instanceof Error ? error.message : `allowed: ${setting.allowed}`;
    const hint = given.trim() === "" ? " (remove the variable to use the default)" : "";
    faults.push(`${name}: given ${shown(given, setting.secret)}; ${wanted}${hint}`);
    return undefined;
  }
}

/** What was given, fit for a terminal or a log: no secret, no password of a URL, no control characters, not long. */
function shown(given: string, secret: boolean): string {
  if (given === "") return "an empty value";
  if (secret) return "(hidden)";
  const masked = given.replace(/\/\/[^/@\s]*@/g, "//(hidden)@");
  const cut = masked.length > SHOWN_VALUE_CHARS ? `${masked.slice(0, SHOWN_VALUE_CHARS)}…` : masked;
  return JSON.stringify(cut);
}

/** Faults of settings that are each valid and do not go together; a value that was refused is undefined here. */
function crossFaults(config: Config, env: Environment): string[] {
  const faults: string[] = [];
  const secretBytes = config.JWT_SECRET === undefined ? undefined : Buffer.byteLength(config.JWT_SECRET);
  if (secretBytes !== undefined && secretBytes < MIN_SECRET_BYTES) {
    faults.push(
      `JWT_SECRET: given (hidden), ${secretBytes} bytes; allowed: at least ${MIN_SECRET_BYTES} bytes. ` +
        "`openssl rand -base64 48` makes one",
    );
  }
  const keys = (["JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY_FILE"] as const).filter((name) =>
    env[name]?.trim(),
  );
  if (keys.length > 1) {
    faults.push(
      `${keys.join(", ")}: given ${keys.length} keys; allowed: only one of them, so that the algorithm is fixed by its kind`,
    );
  }
  const { MAX_OUTPUT_TOKENS: output, LOCAL_CONTEXT_SIZE: window } = config;
  if (window !== undefined && output >= window) {
    faults.push(
      `MAX_OUTPUT_TOKENS: given ${output}; allowed: less than LOCAL_CONTEXT_SIZE (${window}), which holds prompt and answer`,
    );
  }
  const fallback = config.AI_FALLBACK ?? [];
  if (fallback.includes("none") && fallback.length > 1) {
    faults.push(
      `AI_FALLBACK: given ${JSON.stringify(fallback.join(","))}; allowed: none alone, or providers without none`,
    );
  }
  return faults;
}

function unknownNames(env: Environment): string[] {
  const names = Object.keys(settings);
  return Object.keys(env)
    .filter((name) => env[name] !== undefined && !Object.hasOwn(settings, name) && !foreignNames.has(name))
    .filter((name) => ownPrefixes.some((prefix) => name.startsWith(prefix)))
    .toSorted()
    .map((name) => {
      const nearest = nearestName(name, names);
      return `${name} is not a setting and is ignored${nearest ? `; did you mean ${nearest}?` : ""}`;
    });
}

/** What is allowed and hardly meant. */
function doubts(config: Config): string[] {
  const warnings: string[] = [];
  if (!config.RATE_LIMITS) {
    warnings.push(
      "RATE_LIMITS is off: no limits of frames, messages, upgrades and replays, none per address; for load tests only",
    );
  }
  const hasKey = config.JWT_SECRET ?? config.JWT_PUBLIC_KEY ?? config.JWT_PUBLIC_KEY_FILE;
  if (hasKey !== undefined) return warnings;
  for (const name of ["JWT_ISSUER", "JWT_AUDIENCE"] as const) {
    if (config[name] !== undefined) {
      warnings.push(`${name} has no effect: neither JWT_SECRET nor JWT_PUBLIC_KEY is set`);
    }
  }
  if (!config.ALLOW_ANONYMOUS) {
    warnings.push(
      "nobody can connect: ALLOW_ANONYMOUS is false and neither JWT_SECRET nor JWT_PUBLIC_KEY is set",
    );
  }
  return warnings;
}
