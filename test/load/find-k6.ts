import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** The k6 version that the scripts are written for and tested with. */
export const K6_VERSION = "v1.8.1";

/** Printed if k6 is not found. */
export const installAdvice = `k6 was not found. It is a single program that is not on npm. Install it in one of these ways:
  go install go.k6.io/k6@${K6_VERSION}     (needs Go, takes about two minutes, installs into ~/go/bin)
  a package or a download: https://grafana.com/docs/k6/latest/set-up/install-k6/
or set K6_BIN to the path of an installed k6.`;

export interface K6 {
  readonly path: string;
  /** As k6 prints it: `k6 v1.8.1 (…)`. */
  readonly version: string;
}

/**
 * Finds k6: the program of K6_BIN if set, else the first that runs from PATH or the folders of `go install`. Null if
 * there is none.
 *
 * @throws Error if K6_BIN is set and does not run as k6.
 */
export function findK6(env: NodeJS.ProcessEnv): K6 | null {
  const named = env["K6_BIN"];
  if (named !== undefined && named !== "") {
    const k6 = tryK6(named);
    if (k6 === null)
      throw new Error(`K6_BIN=${named} does not run as k6. Set it to the path of k6, or unset it.`);
    return k6;
  }
  for (const folder of goFolders(env)) {
    const k6 = tryK6(folder === "" ? "k6" : join(folder, "k6"));
    if (k6 !== null) return k6;
  }
  return null;
}

/** Folders to search. The empty string stands for PATH. */
function goFolders(env: NodeJS.ProcessEnv): string[] {
  const { GOBIN: bin, GOPATH: paths } = env;
  return [
    "",
    ...(bin ? [bin] : []),
    ...(paths ? paths.split(delimiter).map((path) => join(path, "bin")) : []),
    join(homedir(), "go", "bin"),
  ];
}

function tryK6(path: string): K6 | null {
  const { status, stdout } = spawnSync(path, ["version"], { encoding: "utf8", timeout: 20_000 });
  const [version = ""] = (stdout ?? "").split("\n", 1);
  return status === 0 && version.startsWith("k6 ") ? { path, version } : null;
}
