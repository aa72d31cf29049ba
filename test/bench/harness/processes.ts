import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ClientCommand, ClientReply } from "./load-client-main.ts";
import type { Counted, RunParameters } from "./load-client.ts";
import type { LoadPlan } from "./load-plan.ts";

/** Longest time until a raw server listens, in milliseconds. */
const START_MS = 20_000;

/** Starts a child process from a TypeScript source of the bench. It exits together with this process. */
function forkSource(file: string, stdout: "pipe" | "inherit"): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), {
    execArgv: ["--import", import.meta.resolve("tsx")],
    stdio: ["ignore", stdout, "inherit", "ipc"],
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** A control server to compare the service with. */
export interface RawServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a server of `test/bench/servers` that prints `listening <port>`. */
export async function startRawServer(name: string): Promise<RawServer> {
  const child = forkSource(`../servers/${name}.ts`, "pipe");
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${name} did not listen within ${START_MS / 1000} s`)),
      START_MS,
    );
    child.once("exit", (code) => reject(new Error(`${name} exited with code ${code}`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const found = /^listening (\d+)$/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    });
  });
  return { pid: child.pid as number, port, stop: () => stopChild(child) };
}

/** Load clients against one server, each in its own process. */
export interface LoadClients {
  readonly pids: readonly number[];
  /**
   * Runs all clients for `ms` milliseconds.
   *
   * @returns the total of their replies.
   * @throws Error if a reply is wrong or lost.
   */
  run(ms: number): Promise<number>;
  /** Like {@link run}, with all counts. */
  count(parameters: RunParameters): Promise<Counted>;
  stop(): Promise<void>;
}

/** Starts `count` processes that each execute `plan`. */
export async function startLoadClients(plan: LoadPlan, count: number): Promise<LoadClients> {
  const children = Array.from({ length: count }, () => forkSource("load-client-main.ts", "inherit"));
  const stop = async () => void (await Promise.all(children.map(stopChild)));
  try {
    await Promise.all(children.map((child) => execute(child, { type: "open", plan })));
  } catch (error) {
    await stop();
    throw error;
  }
  const runAll = async (run: RunParameters): Promise<Counted> => {
    const all = { replies: 0, frames: 0, bytes: 0 };
    for (const reply of await Promise.all(children.map((child) => execute(child, { type: "run", ...run })))) {
      if (reply.type !== "ran") continue;
      all.replies += reply.replies;
      all.frames += reply.frames;
      all.bytes += reply.bytes;
    }
    return all;
  };
  return {
    pids: children.map(({ pid }) => pid as number),
    run: async (ms) => (await runAll({ ms })).replies,
    count: runAll,
    stop,
  };
}

/** Sends a command to a client and waits for its reply. */
function execute(child: ChildProcess, command: ClientCommand): Promise<ClientReply> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a load client exited with code ${code}`));
    child.once("exit", ended);
    child.once("message", (reply: ClientReply) => {
      child.off("exit", ended);
      if (reply.type === "failed") reject(new Error(`a load client failed: ${reply.message}`));
      else resolve(reply);
    });
    child.send(command);
  });
}
