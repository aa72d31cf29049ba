import { readFileSync } from "node:fs";
import type { Config } from "../config/schema.ts";

/**
 * File descriptors for everything but connections of clients: the runtime, the log, the engine, files, and requests to
 * remote providers, each of which needs one.
 */
const RESERVED_DESCRIPTORS = 256;

/**
 * Number of connections that the system's limit of open files allows; undefined if the limit is unknown, as on systems
 * other than Linux. Node.js raises the soft limit to the hard one when it starts.
 */
export function descriptorLimit(limits: () => string = readProcessLimits): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits())?.[1];
  if (soft === undefined) return undefined;
  const files = Number(soft);
  return Math.max(files - RESERVED_DESCRIPTORS, Math.floor(files / 2));
}

/** A warning for the operator if the limit is lower than what the settings allow; undefined if it is not. */
export function descriptorWarning(
  config: Pick<Config, "MAX_CONNECTIONS" | "MAX_HTTP_CONNECTIONS">,
  limit: number | undefined,
): string | undefined {
  const wanted = config.MAX_CONNECTIONS + config.MAX_HTTP_CONNECTIONS;
  if (limit === undefined || wanted <= limit) return undefined;
  return (
    `the limit of open files allows ${limit} connections; MAX_CONNECTIONS and MAX_HTTP_CONNECTIONS allow ${wanted}: ` +
    `raise the limit, for example with "ulimit -n ${wanted + RESERVED_DESCRIPTORS}", or lower the settings`
  );
}

function readProcessLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return "";
  }
}
