import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** The version that the scripts were written for and tried with. */
export const K6_VERSION = "v1.8.1";

/** What to do when there is no k6. */
export const installAdvice = `k6 is not here. It is one program and not part of npm; get it in one of these ways:
  go install go.k6.io/k6@${K6_VERSION}     (needs Go; about two minutes; it is then found in ~/go/bin)
  a package or a download: https://grafana.com/docs/k6/latest/set-up/install-k6/
or set K6_BIN to where it is.`;

export interface K6 {
  readonly path: string;
  /** As it tells it: `k6 v1.8.1 (…)`. */
  readonly version: string;
}

/**
 * The k6 of K6_BIN, of PATH, or of the folders into which `go install` puts programs; the first that runs. Null when
 * there is none.
 * @throws Error when K6_BIN is set and does not run: whoever names a program means that one.
 */
export function findK6(env: NodeJS.ProcessEnv): K6 | null {
  const named = env["K6_BIN"];
  if (named !== undefined && named !== "") {
    const k6 = tryK6(named);
    if (k6 === null) throw new Error(`K6_BIN=${named} does not run as k6.`);
    return k6;
  }
  for (const folder of goFolders(env)) {
    const k6 = tryK6(folder === "" ? "k6" : join(folder, "k6"));
    if (k6 !== null) return k6;
  }
  return null;
}

/** Empty: by PATH. */
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
