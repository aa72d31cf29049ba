import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** Loading a model on a busy machine takes a while. */
const START_MS = 60_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The built service as a process of its own, as users run it. */
export interface Service {
  readonly port: number;
  readonly pid: number;
  /** `ws://127.0.0.1:<port>` */
  readonly url: string;
  /** `http://127.0.0.1:<port>/` */
  readonly page: string;
  /** All lines of the JSON log so far. */
  readonly log: readonly Record<string, unknown>[];
  /** What went to standard error: the start block. */
  stderr(): string;
  http(path: string, init?: RequestInit): Promise<Response>;
  /** The engine's process id; undefined while none runs. */
  enginePid(): number | undefined;
  kill(signal: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
  /** Asks it to stop, SIGTERM by default, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

const running = new Set<ChildProcess>();
const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL");
};
// A test that failed may have left its service running; a worker of the test runner is ended by a signal, without "exit".
process.once("exit", killAll);
process.once("disconnect", killAll);
process.once("SIGTERM", () => {
  killAll();
  process.exit(143);
});

/** Starts the service with these settings, in an empty folder so that no `.env` counts. */
export async function startService(settings: Readonly<Record<string, string>>): Promise<Service> {
  const cwd = mkdtempSync(join(tmpdir(), "chat-service-"));
  const child = spawn(process.execPath, [entry], {
    cwd,
    env: environment(cwd, settings),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
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
      () => reject(new Error(`the service did not start in time:\n${stderr}`)),
      START_MS,
    );
    createInterface({ input: child.stdout }).on("line", (line) => {
      const entryOfLog = JSON.parse(line) as Record<string, unknown>;
      log.push(entryOfLog);
      if (entryOfLog["msg"] !== "listening") return;
      clearTimeout(timer);
      resolve(entryOfLog["port"] as number);
    });
    void exited.then(({ code }) => {
      clearTimeout(timer);
      reject(new Error(`the service ended with code ${code}:\n${stderr}`));
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

/** Runs the service where it is expected to refuse the start. */
export async function runService(
  settings: Readonly<Record<string, string>>,
): Promise<Exit & { stderr: string }> {
  const cwd = mkdtempSync(join(tmpdir(), "chat-service-"));
  const child = spawn(process.execPath, [entry], {
    cwd,
    env: environment(cwd, settings),
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.add(child);
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  return new Promise((resolve) => {
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      rmSync(cwd, { recursive: true, force: true });
      resolve({ code, signal, stderr });
    });
  });
}

/**
 * More engine threads than free cores make a small model many times slower, and tests share their machine. All their
 * clients have one address and hurry: who tests a rate turns RATE_LIMITS on.
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

/** Whether a process with this id is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until `holds`, at most `ms`. */
export async function until(holds: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`not so within ${ms} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
