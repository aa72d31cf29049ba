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
  /**
   * Arguments of Node.js that run the engine: `["dist/engine/engine-main.js"]`, or `["--import", "tsx",
   * "src/engine/engine-main.ts"]`.
   */
  readonly args: readonly string[];
  /**
   * Environment of this process. The engine gets only the variables that system and GPU libraries need, and no secret.
   */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly settings: EngineSettings;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Default: {@link defaultRestartPolicy}. */
  readonly restart?: RestartPolicyOptions;
  /**
   * Minimum time without progress after which a busy engine is killed and restarted, in milliseconds. Default 30,000.
   */
  readonly stallMs?: number;
}

/**
 * Threads of libuv's pool, which runs sampling and decoding. With the default of 4, samplings wait for each other. With
 * at most `FEW_CORES` cores one thread is faster: each decode starts threads of its own, and with several pool threads
 * Linux schedules two threads that wait for each other on one core (docs/decisions/2026-11-23-one-pool-thread.md).
 */
const THREAD_POOL = 8;
const FEW_CORES = 2;
/** Default of {@link SupervisorOptions.stallMs}. */
const STALL_MS = 30_000;

/** Names of the environment variables that the engine inherits. */
const INHERITED =
  /^(PATH|HOME|USER|TMPDIR|TEMP|TMP|LANG|TZ|SYSTEMROOT|LD_LIBRARY_PATH|(LC|DYLD|CUDA|NVIDIA|GGML|VK|XDG)_.*)$/i;

function engineEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && INHERITED.test(entry[0]),
  );
  const configured = Number(env["UV_THREADPOOL_SIZE"]);
  const automatic = usableCores() <= FEW_CORES ? 1 : THREAD_POOL;
  const threads = Number.isInteger(configured) && configured > 0 ? configured : automatic;
  return { ...Object.fromEntries(kept), UV_THREADPOOL_SIZE: String(threads) };
}

/** Starts the engine, restarts it after an exit, and reports its status. */
export class EngineSupervisor {
  readonly #options: SupervisorOptions;
  readonly #policy: RestartPolicy;
  readonly #folder: SocketFolder;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  #process: EngineProcess | undefined;
  #watchdog: Watchdog | undefined;
  #current: EngineStatus = { state: "starting", reason: "The model is loading." };
  #startedAt = 0;
  #stopped = false;
  #cancelRestart: (() => void) | undefined;
  /** Removal of the last engine's stored states. */
  #cleanup: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restart ?? defaultRestartPolicy);
    this.#folder = createSocketFolder();
  }

  /** Path of the engine's socket; it stays the same across restarts. */
  get socketPath(): string {
    return this.#folder.socketPath;
  }

  /** Process id of the running engine; undefined between two runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  status(): EngineStatus {
    return this.#current;
  }

  /** Calls `listener` after each change of the status. @returns a function that ends the subscription. */
  onChange(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Starts the engine and waits until it is ready.
   *
   * @throws Error when it cannot start with these settings, or crashes repeatedly; the message gives the reason. After
   * a failure due to the settings there is no further attempt.
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

  /** Stops the engine and removes its socket. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRestart?.();
    this.#set({ ...this.#current, state: "down", reason: "The server is stopping." });
    await this.#process?.stop();
    await this.#cleanup;
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
      const stalledMs = watchdog.stalledMs();
      if (stalledMs === undefined) {
        clock.after(CHECK_MS, check);
        return;
      }
      const seconds = Math.round(stalledMs / 1000);
      logger.error({ engine: this.pid, seconds }, "engine process hung, killing it");
      this.#process?.kill(`no progress for ${seconds} s`);
    };
    clock.after(CHECK_MS, check);
  }

  #exited({ code, signal, failure, stateFolder }: EngineExit): void {
    const { logger, metrics, clock } = this.#options;
    const pid = this.pid;
    this.#process = undefined;
    this.#watchdog = undefined;
    if (stateFolder !== undefined) this.#cleanup = this.#removeStates(stateFolder);
    if (this.#stopped) return;
    const { info } = this.#current;
    const lastInfo = info ? { info } : {};
    if (failure !== undefined && !info) {
      logger.error({ engine: pid, failure }, "engine process failed to start");
      this.#set({ state: "down", reason: failure });
      return;
    }
    const delay = this.#policy.recordExit(clock.now() - this.#startedAt);
    logger.error({ engine: pid, code, signal, failure, restartInMs: delay }, "engine process exited");
    const cause = failure ?? (signal ? `signal ${signal}` : `exit code ${code}`);
    if (this.#policy.degraded) {
      this.#set({
        state: "degraded",
        reason: `The engine keeps crashing (${cause}). It is restarted once a minute.`,
        ...lastInfo,
      });
    } else {
      this.#set({ state: "starting", reason: "The engine crashed and is restarting.", ...lastInfo });
    }
    this.#cancelRestart = clock.after(delay, () => {
      if (this.#stopped) return;
      metrics.engineRestarted();
      this.#launch();
    });
  }

  /** Removes the stored states that a killed engine has left. */
  async #removeStates(folder: string): Promise<void> {
    try {
      await rm(folder, { recursive: true, force: true });
    } catch (error) {
      // The next engine removes the folder at its start.
      this.#options.logger.warn({ err: error }, "stored states of the exited engine could not be removed");
    }
  }

  #set(status: EngineStatus): void {
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
  }
}
