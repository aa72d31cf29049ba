import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** Longest time until the service listens, in milliseconds. Loading a model on a busy machine takes a while. */
const START_MS = 60_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The built service as a separate process, as users run it. */
export interface Service {
  readonly port: number;
  readonly pid: number;
  /** `ws://127.0.0.1:<port>` */
  readonly url: string;
  /** `http://127.0.0.1:<port>/` */
  readonly page: string;
  /** All JSON log lines so far. */
  readonly log: readonly Record<string, unknown>[];
  /** Standard error so far, which contains the start banner. */
  stderr(): string;
  http(path: string, init?: RequestInit): Promise<Response>;
  /** Process id of the engine that started last; undefined if none has started. */
  enginePid(): number | undefined;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
  /** Sends a signal, SIGTERM by default, and waits for the exit. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL");
};
// A failed test may leave its service running, and a worker of the test runner is ended by a signal, without "exit".
process.once("exit", killAll);
process.once("disconnect", killAll);
process.once("SIGTERM", () => {
  killAll();
  process.exit(143);
});

/** Starts the service with these settings, in an empty folder so that no `.env` is read. */
export async function startService(
  settings: Readonly<Record<string, string>>,
  spawned: (pid: number) => void = () => {},
): Promise<Service> {
  const cwd = mkdtempSync(join(tmpdir(), "chat-service-"));
  const child = spawn(process.execPath, [entry], {
    cwd,
    env: environment(cwd, settings),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  spawned(child.pid as number);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const log: Record<string, unknown>[] = [];
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      running.delete(child);
      rmSync(cwd, { recursive: true, force: true });
      resolve({ code, signal });
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the service did not start within ${START_MS / 1000} s:\n${stderr}`)),
      START_MS,
    );
    createInterface({ input: child.stdout }).on("line", (line) => {
      const logLine = JSON.parse(line) as Record<string, unknown>;
      log.push(logLine);
      if (logLine["msg"] !== "listening") return;
      clearTimeout(timer);
      resolve(logLine["port"] as number);
    });
    void exited.then(({ code }) => {
      clearTimeout(timer);
      reject(new Error(`the service exited with code ${code}:\n${stderr}`));
    });
  });
  return {
    port,
    pid: child.pid as number,
    url: `ws://127.0.0.1:${port}`,
    page: `http://127.0.0.1:${port}/`,
    log,
    stderr: () => stderr,
    http: (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init),
    enginePid: () => log.findLast(({ msg }) => msg === "engine ready")?.["engine"] as number | undefined,
    kill: (signal) => child.kill(signal),
    exited,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return exited;
    },
  };
}

/** Runs the service until it exits, for tests that expect it to refuse to start. */
export async function runService(
  settings: Readonly<Record<string, string>>,
): Promise<Exit & { stdout: string; stderr: string }> {
  const cwd = mkdtempSync(join(tmpdir(), "chat-service-"));
  const child = spawn(process.execPath, [entry], {
    cwd,
    env: environment(cwd, settings),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  return new Promise((resolve) => {
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      rmSync(cwd, { recursive: true, force: true });
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/**
 * The environment of a service. One engine thread, since with more threads than free cores a small model is many times
 * slower. RATE_LIMITS is off, since all test clients share one address; tests of rate limits turn it on.
 */
function environment(
  home: string,
  settings: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  return {
    PATH: process.env["PATH"],
    HOME: home,
    PORT: "0",
    LOCAL_THREADS: "1",
    RATE_LIMITS: "off",
    ...settings,
  };
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until `holds` returns true. @throws Error if it does not within `ms` milliseconds. */
export async function until(holds: () => boolean | Promise<boolean>, ms = 25_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`condition not met within ${ms} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
