import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ClientOrder, ClientReply } from "./load-client-main.ts";
import type { Counted, LoadPlan, RunOrder } from "./load-client.ts";

const START_MS = 20_000;

/** A child process from a TypeScript source of the bench; it ends with this process. */
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

/** A server to measure against. */
export interface RawServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts a server of `test/bench/servers` that prints `listening <port>`. */
export async function startRawServer(name: string): Promise<RawServer> {
  const child = forkSource(`../servers/${name}.ts`, "pipe");
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} did not listen in time`)), START_MS);
    child.once("exit", (code) => reject(new Error(`${name} ended with code ${code}`)));
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const found = /^listening (\d+)$/.exec(line);
      if (found === null) return;
      clearTimeout(timer);
      resolve(Number(found[1]));
    });
  });
  return { pid: child.pid as number, port, stop: () => stopChild(child) };
}

/** Load clients against one server, each a process of its own. */
export interface LoadClients {
  readonly pids: readonly number[];
  /** All clients ask for `ms`; resolves with the replies of all of them. @throws Error when one was wrong or lost. */
  run(ms: number): Promise<number>;
  /** The same with all counts. */
  count(order: RunOrder): Promise<Counted>;
  stop(): Promise<void>;
}

/** Starts `count` processes that each follow `plan`. */
export async function startLoadClients(plan: LoadPlan, count: number): Promise<LoadClients> {
  const children = Array.from({ length: count }, () => forkSource("load-client-main.ts", "inherit"));
  const stop = async () => void (await Promise.all(children.map(stopChild)));
  try {
    await Promise.all(children.map((child) => order(child, { type: "open", plan })));
  } catch (error) {
    await stop();
    throw error;
  }
  const runAll = async (run: RunOrder): Promise<Counted> => {
    const all = { replies: 0, frames: 0, bytes: 0 };
    for (const reply of await Promise.all(children.map((child) => order(child, { type: "run", ...run })))) {
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

/** One order and its answer. */
function order(child: ChildProcess, it: ClientOrder): Promise<ClientReply> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a load client ended with code ${code}`));
    child.once("exit", ended);
    child.once("message", (reply: ClientReply) => {
      child.off("exit", ended);
      if (reply.type === "failed") reject(new Error(`a load client failed: ${reply.message}`));
      else resolve(reply);
    });
    child.send(it);
  });
}
