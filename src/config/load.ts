import { MIN_SECRET_BYTES } from "../core/ids.ts";
import { ConfigError } from "./config-error.ts";
import { editDistance, nearestName, nearestWord } from "../core/edit-distance.ts";
import { isProxyName } from "./network-settings.ts";
import { settings, type Config } from "./schema.ts";
import type { Setting } from "./setting.ts";

/** Environment variables by name, merged with those of `.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadedConfig {
  readonly config: Config;
  /** Warnings for the operator, one line each. They do not prevent the start. */
  readonly warnings: readonly string[];
}

/** Returns one line per fault. Settings whose values were rejected are undefined. */
export type ConfigCheck = (config: Partial<Config>) => readonly string[];

/** Characters of a given value that an error message shows. */
const SHOWN_VALUE_CHARS = 80;

/** Prefixes of this service's variables. An unknown variable with such a prefix is probably a typo. */
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

/** Variables of other programs that share a prefix with ours or are similar to a setting. */
const foreignNames = new Set([
  "FTP_PROXY",
  "GOPROXY",
  "MODULEPATH",
  "MODULE_PATH",
  "NODE_PATH",
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
 * Reads every setting from `env`. Pure: `environment.ts` reads the files and `process.env`.
 *
 * @param checks further checks, run even if values were rejected
 * @throws ConfigError that lists all faults at once
 */
export function loadConfig(env: Environment, checks: readonly ConfigCheck[] = []): LoadedConfig {
  const values: Record<string, unknown> = {};
  const faults: string[] = [];
  for (const [name, setting] of Object.entries(settings)) {
    const given = env[name];
    values[name] = given === undefined ? setting.fallback : readSetting(name, setting, given, faults);
  }
  const config = values as Config;
  faults.push(...crossFaults(config, env), ...checks.flatMap((check) => check(config)));
  if (faults.length > 0) throw new ConfigError(faults);
  return { config, warnings: [...unknownNames(env), ...suspiciousSettings(config)] };
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

/**
 * The given value made safe for a terminal or a log: no secrets, URL passwords or control characters, and shortened.
 */
function shown(given: string, secret: boolean): string {
  if (given === "") return "an empty value";
  if (secret) return "(hidden)";
  // A password may contain any character, also an unescaped `/` or `@`, and a query may contain a key.
  const masked = given
    .replace(/^([a-z]*:?\/*).*@/is, "$1(hidden)@")
    .replace(/(:\/\/[^?]*\?).+/s, "$1(hidden)");
  const cut = masked.length > SHOWN_VALUE_CHARS ? `${masked.slice(0, SHOWN_VALUE_CHARS)}…` : masked;
  return JSON.stringify(cut);
}

/** Conflicts between settings that are valid on their own. Values that were rejected are undefined here. */
function crossFaults(config: Config, env: Environment): string[] {
  const faults: string[] = [];
  const secretBytes = config.JWT_SECRET === undefined ? undefined : Buffer.byteLength(config.JWT_SECRET);
  if (secretBytes !== undefined && secretBytes < MIN_SECRET_BYTES) {
    faults.push(
      `JWT_SECRET: given (hidden), ${secretBytes} bytes; allowed: at least ${MIN_SECRET_BYTES} bytes. ` +
        "`openssl rand -base64 48` generates one",
    );
  }
  const keys = (["JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_PUBLIC_KEY_FILE"] as const).filter((name) =>
    env[name]?.trim(),
  );
  if (keys.length > 1) {
    faults.push(
      `${keys.join(", ")}: given ${keys.length} keys; allowed: only one of them, because the type of the key determines the algorithm`,
    );
  }
  const { MAX_OUTPUT_TOKENS: output, LOCAL_CONTEXT_SIZE: window } = config;
  if (window !== undefined && output >= window) {
    faults.push(
      `MAX_OUTPUT_TOKENS: given ${output}; allowed: less than LOCAL_CONTEXT_SIZE (${window}), which must hold prompt and answer`,
    );
  }
  const fallback = config.AI_FALLBACK ?? [];
  if (fallback.includes("none") && fallback.length > 1) {
    faults.push(
      `AI_FALLBACK: given ${JSON.stringify(fallback.join(","))}; allowed: none alone, or a list of providers without none`,
    );
  }
  return faults;
}

function unknownNames(env: Environment): string[] {
  const names = Object.keys(settings);
  return Object.keys(env)
    .filter(
      (name) =>
        env[name] !== undefined && !Object.hasOwn(settings, name) && !foreignNames.has(name.toUpperCase()),
    )
    .filter((name) => !isProxyName(name))
    .toSorted()
    .flatMap((name) => {
      const own = ownPrefixes.some((prefix) => name.startsWith(prefix));
      const nearest = own
        ? nearestName(name, names)
        : nearestWord(
            name.toUpperCase(),
            names.filter((each) => isTypo(name, each)),
          );
      if (!own && nearest === undefined) return [];
      return [`${name} is not a setting and is ignored${nearest ? `; did you mean ${nearest}?` : ""}`];
    });
}

/**
 * Whether a name of any program's variable is probably a mistyped setting: in other case, with two neighbours swapped
 * (`PROT`), or with at most one difference in four characters. Short names such as `GPU` are compared by case only,
 * since they differ from many words by one character.
 */
function isTypo(name: string, setting: string): boolean {
  const upper = name.toUpperCase();
  if (upper === setting) return true;
  if (setting.length < 4 || Math.abs(upper.length - setting.length) > setting.length / 4) return false;
  const distance = editDistance(upper, setting);
  const isSwap = distance === 2 && lettersOf(upper) === lettersOf(setting);
  return isSwap || distance <= Math.floor(setting.length / 4);
}

const lettersOf = (word: string): string => [...word].toSorted().join("");

/** Warns about settings that are valid but probably not intended. */
function suspiciousSettings(config: Config): string[] {
  const warnings: string[] = [];
  if (!config.RATE_LIMITS) {
    warnings.push(
      "RATE_LIMITS is off: frames, acks, messages, upgrades and replays are not limited, and nothing is limited per address. " +
        "Use this for load tests only.",
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
      "no client can connect: ALLOW_ANONYMOUS is false and neither JWT_SECRET nor JWT_PUBLIC_KEY is set",
    );
  }
  return warnings;
}
