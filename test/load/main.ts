// npm run load -- NAME [options]: drives the built service with k6 or a program of programs/, and checks its
// thresholds.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import buildOnce from "../support/build-once.ts";
import { startService, type Service } from "../support/service.ts";
import { findK6, installAdvice, type K6 } from "./find-k6.ts";
import { summaryLines, type K6Summary } from "./k6-summary.ts";
import { programs } from "./programs/index.ts";
import { runProgram, usageLines } from "./programs/program.ts";
import { roomForSockets } from "./socket-room.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const USAGE = `npm run load -- NAME [options]

With k6:

  smoke   a few clients use every part of the protocol; about 5 s
  ramp    up to 1,000 sockets, each chatting once a second and staying connected; about 65 s

  --url ws://…    use a running server (ramp needs AI_PROVIDER=echo) instead of starting one for the run
  --sockets N     ramp: sockets at the end of the ramp (default 1000)
  --vus N         smoke: clients (default 5); ramp: k6 virtual users that share the sockets (default 20)
  --ramp N        ramp: seconds until all are connected (default 20)
  --hold N        ramp: seconds of chatting after that (default 40)

With Node.js only:
${Object.entries(programs)
  .flatMap(([name, program]) => usageLines(name, program))
  .join("\n")}`;

/** Milliseconds between tokens of the server started for a run, as of a fast model. */
const TOKEN_MS = 20;

/** Exit code if the run cannot start: wrong arguments, no k6, or too few sockets on this machine. */
const USAGE_FAULT = 2;

interface Plan {
  readonly script: "smoke" | "ramp";
  readonly url: string | undefined;
  readonly sockets: number;
  /** Environment variables of the script. */
  readonly env: Readonly<Record<string, string>>;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const [name = "", ...args] = process.argv.slice(2);
  const program = Object.hasOwn(programs, name) ? programs[name] : undefined;
  if (program !== undefined) return runProgram(name, program, args);
  const plan = readPlan();
  if (plan === null) {
    console.error(USAGE);
    return USAGE_FAULT;
  }
  const k6 = findK6(process.env);
  if (k6 === null) {
    console.error(installAdvice);
    return USAGE_FAULT;
  }
  const problem = roomForSockets(plan.sockets);
  if (problem !== null) {
    console.error(problem);
    return USAGE_FAULT;
  }
  const load = (loadavg()[0] ?? 0).toFixed(1);
  console.log(`${k6.version}; ${availableParallelism()} cores, load ${load} before the run`);
  // An interrupt reaches k6 and the service directly. This process keeps running to report how they ended.
  process.on("SIGINT", () => {});
  if (plan.url !== undefined) return runScript(k6, plan, socketUrl(plan.url));
  buildOnce();
  const service = await startService({
    AI_PROVIDER: "echo",
    ECHO_TOKEN_MS: String(TOKEN_MS),
    // A few more than the run needs, so that the limit is never reached.
    MAX_CONNECTIONS: String(plan.sockets + 100),
    MAX_SESSIONS: "1000000",
  });
  try {
    const code = await runScript(k6, { ...plan, env: { ...plan.env, PACED: "1" } }, `${service.url}/ws/chat`);
    for (const line of await serverLines(service)) console.log(line);
    const errors = service.log.filter(({ level }) => level === "error" || level === "fatal");
    for (const error of errors.slice(0, 5)) console.error(`the service logged: ${JSON.stringify(error)}`);
    return code === 0 && errors.length > 0 ? 1 : code;
  } finally {
    await service.stop();
  }
}

/** Null if the arguments are invalid. */
function readPlan(): Plan | null {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: {
        url: { type: "string" },
        sockets: { type: "string", default: "1000" },
        vus: { type: "string" },
        ramp: { type: "string", default: "20" },
        hold: { type: "string", default: "40" },
      },
    });
    const [script] = positionals;
    if (positionals.length !== 1 || (script !== "smoke" && script !== "ramp")) return null;
    const vus = whole("vus", values.vus ?? (script === "smoke" ? "5" : "20"));
    const sockets = script === "smoke" ? vus : whole("sockets", values.sockets);
    const env = {
      VUS: String(vus),
      ...(script === "ramp" && {
        SOCKETS: String(sockets),
        RAMP_SECONDS: String(whole("ramp", values.ramp)),
        HOLD_SECONDS: String(whole("hold", values.hold)),
      }),
    };
    return { script, url: values.url, sockets, env };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  }
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`--${name} must be a positive whole number, not ${JSON.stringify(text)}.`);
  }
  return value;
}

/** Completes an address to a WebSocket URL. Without a path, it gets that of the chat endpoint. */
function socketUrl(address: string): string {
  const url = new URL(address.replace(/^http/, "ws"));
  if (url.pathname === "/") url.pathname = "/ws/chat";
  return url.href;
}

/**
 * Runs one script and prints its figures. Resolves with the exit code of k6, which is 0 only if every threshold holds.
 */
async function runScript(k6: K6, { script, env }: Plan, url: string): Promise<number> {
  const folder = join(root, "test-results");
  mkdirSync(folder, { recursive: true });
  const summary = join(folder, `load-${script}.json`);
  rmSync(summary, { force: true });
  const settings = Object.entries({ ...env, URL: url, SUMMARY: summary });
  console.log(`${script} on ${url} ...`);
  const child = spawn(
    k6.path,
    [
      "run",
      "--no-usage-report",
      // The progress bar is for terminals. In a log its lines would hide the rest.
      ...(process.stdout.isTTY ? [] : ["--quiet"]),
      ...settings.flatMap(([name, value]) => ["-e", `${name}=${value}`]),
      fileURLToPath(new URL(`${script}.js`, import.meta.url)),
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const [code] = (await once(child, "close")) as [number | null];
  const found = readSummary(summary);
  if (found === null) {
    console.error("k6 exited without writing figures; its output above has the cause.");
    return code || 1;
  }
  for (const line of summaryLines(found)) console.log(line);
  const seconds = (found.state.testRunDurationMs / 1000).toFixed(1);
  console.log(
    `${code === 0 ? "PASSED" : "FAILED"} in ${seconds} s; all figures: test-results/load-${script}.json`,
  );
  return code ?? 1;
}

function readSummary(path: string): K6Summary | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as K6Summary;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** CPU time, memory and event loop lag of the server, from its own metrics. */
async function serverLines(service: Service): Promise<string[]> {
  const text = await (await service.http("/metrics")).text();
  const metric = (name: string): number =>
    Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  const cpu = metric("process_cpu_seconds_total").toFixed(1);
  const memory = Math.round(metric("process_resident_memory_bytes") / 2 ** 20);
  const lag = (metric("nodejs_eventloop_lag_p99_seconds") * 1000).toFixed(1);
  return [`server: ${cpu} s of CPU, ${memory} MiB of resident memory, event loop lag p99 ${lag} ms`];
}
