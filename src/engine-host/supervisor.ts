import { rm } from "node:fs/promises";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import { usableCores } from "../core/usable-cores.ts";
import type { EngineSettings } from "../engine-wire/control.ts";
import type { EngineInfo, EngineStatus } from "../engine-wire/engine-status.ts";
import { EngineProcess, type EngineExit } from "./engine-process.ts";
import { describeFailedLoad } from "./load-failure.ts";
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

/** Codes of Node.js in the output of an engine whose own modules could not be loaded. */
const MISSING_MODULE = /\b(ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ERR_DLOPEN_FAILED)\b/;

/** The first start of an engine failed. The message gives the cause and what to do. */
export class EngineStartError extends Error {
  /** The same without the path of the model; undefined where another model would fail too. */
  readonly modelReason: string | undefined;

  constructor(message: string, modelReason?: string) {
    super(message);
    this.name = "EngineStartError";
    this.modelReason = modelReason;
  }
}

/** Starts the engine, restarts it after an exit, and reports its status. */
export class EngineSupervisor {
  readonly #options: SupervisorOptions;
  readonly #policy: RestartPolicy;
  /** Folder of the current run's socket. */
  #folder: SocketFolder | undefined;
  readonly #listeners = new Set<(status: EngineStatus) => void>();
  #process: EngineProcess | undefined;
  #watchdog: Watchdog | undefined;
  #current: EngineStatus = { state: "starting", reason: "The model is loading." };
  #startedAt = 0;
  #stopped = false;
  #cancelRestart: (() => void) | undefined;
  #startError: EngineStartError | undefined;
  /** Removal of the last engine's stored states. */
  #cleanup: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restart ?? defaultRestartPolicy);
  }

  /** Path of the engine's socket; each run of the engine has another one. Empty before the first run. */
  get socketPath(): string {
    return this.#folder?.socketPath ?? "";
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
   * @throws EngineStartError when it cannot start, whether it reported a reason or its process ended. There is no
   * further attempt.
   */
  start(): Promise<EngineInfo> {
    return new Promise((resolve, reject) => {
      const unsubscribe = this.onChange((status) => {
        if (status.state === "starting") return;
        unsubscribe();
        if (status.state === "ready" && status.info) resolve(status.info);
        else reject(this.#startError ?? new EngineStartError(status.reason));
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
    this.#folder?.remove();
  }

  #launch(): void {
    const { args, env, settings, logger, clock } = this.#options;
    this.#startedAt = clock.now();
    const folder = this.#makeFolder();
    if (folder === undefined) return;
    this.#process = new EngineProcess({
      args,
      env: engineEnvironment(env),
      socketPath: folder.socketPath,
      settings,
      logger,
      onPulse: (pulse) => this.#watchdog?.pulse(pulse),
      onReady: (info) => this.#ready(info),
      onExit: (exit) => this.#exited(exit),
    });
  }

  /** A new folder for the next run: a cleaner of temporary files may have removed the last one. */
  #makeFolder(): SocketFolder | undefined {
    try {
      this.#folder?.remove();
      this.#folder = createSocketFolder();
      return this.#folder;
    } catch (error) {
      this.#folder = undefined;
      const cause = error instanceof Error ? error.message : String(error);
      const failure =
        `The folder of the engine's socket cannot be created (${cause}). ` +
        "Set TMPDIR to a folder that the service can write to.";
      this.#exited({
        code: null,
        signal: null,
        failure,
        fault: "setup",
        stateFolder: undefined,
        lastLines: [],
      });
      return undefined;
    }
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

  #exited(exit: EngineExit): void {
    const { code, signal, failure, stateFolder, lastLines } = exit;
    const { logger, metrics, clock } = this.#options;
    const pid = this.pid;
    this.#process = undefined;
    this.#watchdog = undefined;
    if (stateFolder !== undefined) this.#cleanup = this.#removeStates(stateFolder);
    if (this.#stopped) return;
    const { info } = this.#current;
    // Before the first success a restart would most likely fail in the same way, and another provider can take over.
    if (!info) {
      logger.error({ engine: pid, code, signal, failure, lastLines }, "engine process failed to start");
      this.#startError = startError(exit, this.#options.settings.modelPath);
      this.#set({ state: "down", reason: this.#startError.message });
      return;
    }
    const delay = this.#policy.recordExit(clock.now() - this.#startedAt);
    logger.error({ engine: pid, code, signal, failure, restartInMs: delay }, "engine process exited");
    const cause = failure ?? (signal ? `signal ${signal}` : `exit code ${code}`);
    if (this.#policy.degraded) {
      this.#set({
        state: "degraded",
        reason: `The engine keeps crashing (${cause}). It is restarted once a minute.`,
        info,
      });
    } else {
      this.#set({ state: "starting", reason: "The engine crashed and is restarting.", info });
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
      // The next start of the service removes the folder.
      this.#options.logger.warn({ err: error }, "stored states of the exited engine could not be removed");
    }
  }

  #set(status: EngineStatus): void {
    this.#current = status;
    for (const listener of this.#listeners) listener(status);
  }
}

function startError(
  { code, signal, failure, fault, lastLines }: EngineExit,
  model: string,
): EngineStartError {
  if (failure === undefined && lastLines.some((line) => MISSING_MODULE.test(line))) {
    return new EngineStartError(
      'A module of the engine is missing or cannot be loaded; the log has its name. Install the modules again with "npm ci".',
    );
  }
  if (failure !== undefined && fault !== "file" && fault !== "model") return new EngineStartError(failure);
  const reason =
    failure !== undefined && fault === "model"
      ? failure
      : describeFailedLoad({ code, signal, reported: failure, lines: lastLines });
  return new EngineStartError(`The model ${model} cannot be loaded: ${reason}`, reason);
}
