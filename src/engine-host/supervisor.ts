import { rm } from "node:fs/promises";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import { usableCores } from "../core/usable-cores.ts";
import type { EngineSettings } from "../engine-wire/control.ts";
import type { EngineInfo, EngineStatus } from "../engine-wire/engine-status.ts";
import { EngineProcess, type EngineExit } from "./engine-process.ts";
import { defaultRestartPolicy, RestartPolicy, type RestartPolicyOptions } from "./restart-policy.ts";
import { createSocketFolder, type SocketFolder } from "./socket-folder.ts";
import { CHECK_MS, Watchdog } from "./watchdog.ts";

export interface SupervisorOptions {
  /** Arguments of Node.js that run the engine: `["dist/engine/engine-main.js"]`, or `["--import", "tsx", "src/engine/engine-main.ts"]`. */
  readonly args: readonly string[];
  /** Environment of this process; the engine gets what system and GPU libraries need of it, and no secret. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly settings: EngineSettings;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly restart?: RestartPolicyOptions;
  /** Least time without movement after which a busy engine is killed and started again, in milliseconds. */
  readonly stallMs?: number;
}

// Sampling and decoding are jobs of libuv's pool; its default of 4 would make the samplings wait for each other. On one
// or two cores, one thread: each decode makes threads of its own, and where the pool's threads move about, Linux puts
// two threads that wait for each other onto one core (docs/decisions/2026-11-23-one-pool-thread.md).
const THREAD_POOL = 8;
const FEW_CORES = 2;
const STALL_MS = 30_000;

const INHERITED =
  /^(PATH|HOME|USER|TMPDIR|TEMP|TMP|LANG|TZ|SYSTEMROOT|LD_LIBRARY_PATH|(LC|DYLD|CUDA|NVIDIA|GGML|VK|XDG)_.*)$/i;

function engineEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && INHERITED.test(entry[0]),
  );
  const asked = Number(env["UV_THREADPOOL_SIZE"]);
  const usual = usableCores() <= FEW_CORES ? 1 : THREAD_POOL;
  const threads = Number.isInteger(asked) && asked > 0 ? asked : usual;
  return { ...Object.fromEntries(kept), UV_THREADPOOL_SIZE: String(threads) };
}

/** Starts the engine, starts it again when it dies, and tells where it stands. */
export class EngineSupervisor {
  readonly #options: SupervisorOptions;
  readonly #policy: RestartPolicy;
  readonly #folder: SocketFolder;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  #process: EngineProcess | undefined;
  #watchdog: Watchdog | undefined;
  #current: EngineStatus = { state: "starting", reason: "The model is being loaded." };
  #startedAt = 0;
  #stopped = false;
  #cancelRestart: (() => void) | undefined;
  /** What the last engine left behind is being removed. */
  #clearing: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restart ?? defaultRestartPolicy);
    this.#folder = createSocketFolder();
  }

  /** The same over all lives of the engine. */
  get socketPath(): string {
    return this.#folder.socketPath;
  }

  /** Of the present engine; undefined between two lives. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  status(): EngineStatus {
    return this.#current;
  }

  /** @returns a function that ends the subscription. */
  onChange(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Starts the engine and waits for its first ready.
   *
   * @throws Error when it cannot start with these settings; the message says what to fix. Then it is not tried again.
   */
  start(): Promise<EngineInfo> {
    return new Promise((resolve, reject) => {
      const unsubscribe = this.onChange((status) => {
        if (status.state === "starting") return;
        unsubscribe();
        if (status.state === "ready" && status.info) resolve(status.info);
        else reject(new Error(status.reason));
      });
      this.#launch();
    });
  }

  /** Ends the engine and removes its socket. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRestart?.();
    this.#set({ ...this.#current, state: "down", reason: "The server is stopping." });
    await this.#process?.stop();
    await this.#clearing;
    this.#folder.remove();
  }

  #launch(): void {
    const { args, env, settings, logger, clock } = this.#options;
    this.#startedAt = clock.now();
    this.#process = new EngineProcess({
      args,
      env: engineEnvironment(env),
      socketPath: this.#folder.socketPath,
      settings,
      logger,
      onPulse: (pulse) => this.#watchdog?.pulse(pulse),
      onReady: (info) => this.#ready(info),
      onExit: (exit) => this.#exited(exit),
    });
  }

  #ready(info: EngineInfo): void {
    const { logger, clock } = this.#options;
    logger.info({ engine: this.pid, ms: Math.round(clock.now() - this.#startedAt) }, "engine ready");
    this.#set({ state: "ready", reason: "", info });
    this.#watch(new Watchdog(this.#options.stallMs ?? STALL_MS, clock));
  }

  #watch(watchdog: Watchdog): void {
    const { logger, clock } = this.#options;
    this.#watchdog = watchdog;
    const check = (): void => {
      if (this.#watchdog !== watchdog || this.#stopped) return;
      const still = watchdog.stalledMs();
      if (still === undefined) {
        clock.after(CHECK_MS, check);
        return;
      }
      const seconds = Math.round(still / 1000);
      logger.error({ engine: this.pid, seconds }, "engine hangs");
      this.#process?.kill(`it did not move for ${seconds} s`);
    };
    clock.after(CHECK_MS, check);
  }

  #exited({ code, signal, failure, stateFolder }: EngineExit): void {
    const { logger, metrics, clock } = this.#options;
    const pid = this.pid;
    this.#process = undefined;
    this.#watchdog = undefined;
    if (stateFolder !== undefined) this.#clearing = this.#removeStates(stateFolder);
    if (this.#stopped) return;
    const { info } = this.#current;
    const known = info ? { info } : {};
    if (failure !== undefined && !info) {
      logger.error({ engine: pid, failure }, "engine cannot start");
      this.#set({ state: "down", reason: failure });
      return;
    }
    const delay = this.#policy.died(clock.now() - this.#startedAt);
    logger.error({ engine: pid, code, signal, failure, restartInMs: delay }, "engine died");
    const how = failure ?? `it ended with ${signal ?? `code ${code}`}`;
    if (this.#policy.degraded) {
      this.#set({
        state: "degraded",
        reason: `The engine keeps dying (${how}); it is tried once a minute.`,
        ...known,
      });
    } else {
      this.#set({ state: "starting", reason: "The engine died and is being started again.", ...known });
    }
    this.#cancelRestart = clock.after(delay, () => {
      if (this.#stopped) return;
      metrics.engineRestarted();
      this.#launch();
    });
  }

  /** An engine that was killed leaves states of conversations behind. */
  async #removeStates(folder: string): Promise<void> {
    try {
      await rm(folder, { recursive: true, force: true });
    } catch (error) {
      // The next engine tries again.
      this.#options.logger.warn({ err: error }, "stored states of an engine that ended could not be removed");
    }
  }

  #set(status: EngineStatus): void {
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
  }
}
