import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { startRawServer } from "../../bench/harness/processes.ts";
import { residentBytes } from "../../bench/harness/resident-memory.ts";
import { ChatSocket } from "../../support/chat-socket.ts";
import { startService, type Service } from "../../support/service.ts";
import { readFigures } from "../programs/server-figures.ts";
import type { Attack, AttackPlan } from "./attack.ts";
import { SLACK_BYTES } from "./bounds.ts";
import { honestAddress } from "./field.ts";
import type { AttackCounts, Generator } from "./generator.ts";
import type { HonestFigures } from "./honest-chat.ts";
import { HonestChats, JWT_SECRET } from "./honest-chats.ts";

/** Milliseconds between tokens of the echo provider. */
const TOKEN_MS = 20;
/** Time until the code is compiled and the heap has reached its size, before each measurement. */
const WARM_UP_MS = 4_000;
const MEMORY_SAMPLE_MS = 100;
/** Milliseconds between two readings of the service's metrics. */
const METRICS_MS = 1_000;

/** Characters of the context that is set afterwards: nearly the longest, so that no remainder of a budget holds it. */
const CONTEXT_CHARS = 31_000;

/** Settings of the attacked service: defaults, but for the provider and the tokens. */
const serviceSettings = (attack: Pick<Attack, "settings">): Record<string, string> => ({
  AI_PROVIDER: "echo",
  ECHO_TOKEN_MS: String(TOKEN_MS),
  RATE_LIMITS: "on",
  JWT_SECRET,
  ...attack.settings,
});

/** What was measured during one run. */
export interface AttackRun {
  readonly honest: HonestFigures;
  readonly counts: AttackCounts;
  /** Resident memory in bytes: before, at its peak, and at most allowed. */
  readonly memory: { readonly before: number; readonly peak: number; readonly bound: number };
  /** The longest delay of the service's event loop, in milliseconds. */
  readonly delayMs: number;
  /** Shares of the time in which the service's event loop ran, and waited for a core of this machine. */
  readonly core: { readonly ran: number; readonly waited: number };
  /** Log lines about stalls of the event loop. */
  readonly stalls: readonly Record<string, unknown>[];
  /** Why an anonymous client could not set a context; null if it could, or if it was not tried. */
  readonly contextFault: string | null;
}

/** Starts the service for an attack, with few descriptors if the attack is about them. */
export function startAttackedService(attack: Attack): Promise<Service> {
  return startService(serviceSettings(attack), (pid) => {
    if (attack.descriptors === undefined) return;
    const limit = `--nofile=${attack.descriptors}:${attack.descriptors}`;
    const { status, stderr } = spawnSync("prlimit", ["--pid", String(pid), limit], { encoding: "utf8" });
    if (status !== 0) throw new Error(`prlimit cannot set the number of open files: ${stderr}`);
  });
}

/** Runs an attack, or its repetition on a bare server, beside honest chats on the service. */
export async function runAttack(
  generator: Generator,
  { name, attack, plan, honest }: { name: string; attack: Attack; plan: AttackPlan; honest: number },
  target: "service" | "bare",
): Promise<AttackRun> {
  const service = await startAttackedService(attack);
  const bare = target === "bare" ? await startRawServer("raw-echo") : undefined;
  try {
    const chats = new HonestChats(service.port, honest, attack.descriptors !== undefined);
    await chats.start();
    await pause(WARM_UP_MS);
    const watch = watchService(service);
    const core = watchCore(service.pid);
    chats.figures.measures = true;
    const counts = await (bare === undefined
      ? generator.attack(name, service.port, plan)
      : generator.replay(bare.port));
    chats.figures.measures = false;
    const shares = core();
    const contextFault = attack.contextAfterwards && bare === undefined ? await setContextOf(service) : null;
    const { before, peak, delayMs } = await watch.stop();
    await chats.stop();
    return {
      honest: chats.figures,
      counts,
      memory: { before, peak, bound: before + attack.held(plan) + SLACK_BYTES },
      delayMs,
      core: shares,
      stalls: service.log.filter(({ msg }) => msg === "the event loop did not run for a while"),
      contextFault,
    };
  } finally {
    await bare?.stop();
    await service.stop();
  }
}

/** Samples memory and the delay of the event loop until it is stopped. */
function watchService(service: Service): {
  stop(): Promise<{ before: number; peak: number; delayMs: number }>;
} {
  const before = residentBytes(service.pid);
  let peak = before;
  let delayMs = 0;
  let over = false;
  const timer = setInterval(() => (peak = Math.max(peak, residentBytes(service.pid))), MEMORY_SAMPLE_MS);
  const readDelay = async (): Promise<void> => {
    // While descriptors are used up, a reading may be refused. The next one covers its time.
    const figures = await readFigures(service).catch(() => undefined);
    const seconds = figures?.gauges.get("event_loop_max_delay_seconds") ?? 0;
    delayMs = Math.max(delayMs, seconds * 1000);
  };
  const metrics = (async () => {
    // The first reading covers the time before.
    await readFigures(service);
    while (!over) {
      await pause(METRICS_MS);
      await readDelay();
    }
  })();
  return {
    async stop() {
      clearInterval(timer);
      over = true;
      await metrics;
      return { before, peak, delayMs };
    },
  };
}

/** Begins to measure the main thread of a process. The returned function ends it. */
function watchCore(pid: number): () => AttackRun["core"] {
  // Nanoseconds on a core, and nanoseconds ready to run without one.
  const read = (): readonly [number, number] => {
    const [ran, waited] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ");
    return [Number(ran), Number(waited)];
  };
  const from = performance.now();
  const [ranBefore, waitedBefore] = read();
  return () => {
    const [ran, waited] = read();
    const total = (performance.now() - from) * 1e6;
    return { ran: (ran - ranBefore) / total, waited: (waited - waitedBefore) / total };
  };
}

/** Sets a context as an anonymous client. Returns the fault, or null. */
async function setContextOf(service: Pick<Service, "url">): Promise<string | null> {
  const options = { localAddress: honestAddress(10_000) };
  const chat = await ChatSocket.greeted(`${service.url}/ws/chat`, [], options);
  try {
    const frame = await chat.ask(`/setcontext text="${"c".repeat(CONTEXT_CHARS)}"`);
    const status = (frame["result"] as { status?: string } | undefined)?.status;
    return status === "success" ? null : JSON.stringify(frame);
  } finally {
    chat.cut();
  }
}
