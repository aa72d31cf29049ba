import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import type { Logger } from "../core/logger.ts";
import {
  CONTROL_FD,
  type ControlReply,
  type EnginePulse,
  type EngineSettings,
  type LoadFault,
} from "../engine-wire/control.ts";
import type { EngineInfo } from "../engine-wire/engine-status.ts";
import { encodeLine, LineDecoder } from "../engine-wire/line-codec.ts";

/** How an engine process exited. */
export interface EngineExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The engine's reason for a failed start, or the reason it was killed for; undefined when neither is known. */
  readonly failure: string | undefined;
  /** What a failed start is due to, if the engine reported it. */
  readonly fault: LoadFault | undefined;
  /** Folder of its stored states, if it reported one. */
  readonly stateFolder: string | undefined;
  /** The last lines of its standard error, oldest first; at most {@link MAX_LAST_LINES}. */
  readonly lastLines: readonly string[];
}

export interface EngineProcessOptions {
  /** Arguments for the same Node.js: the entry file, after options such as `--import tsx`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly socketPath: string;
  readonly settings: EngineSettings;
  readonly logger: Logger;
  readonly onReady: (info: EngineInfo) => void;
  readonly onPulse: (pulse: EnginePulse) => void;
  readonly onExit: (exit: EngineExit) => void;
}

/** Time from the stop message to SIGKILL, in milliseconds. */
const STOP_MS = 2000;
/** Lines of standard error that an exit reports. */
const MAX_LAST_LINES = 20;
/** Time after an exit in which the rest of standard error is read, in milliseconds. */
const LAST_LINES_MS = 200;
/** Longer lines of the engine's standard error are cut in the log; in UTF-16 units. */
const MAX_LOG_LINE_CHARS = 500;

/** One run of the engine process. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #exited: Promise<void>;
  #failure: string | undefined;
  #fault: LoadFault | undefined;
  #stateFolder: string | undefined;
  readonly #lastLines: string[] = [];

  constructor(options: EngineProcessOptions) {
    this.#child = spawn(process.execPath, [...options.args], {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      env: options.env,
    });
    this.#control = this.#child.stdio[CONTROL_FD] as Duplex;
    this.#exited = new Promise((resolve) => {
      let ended = false;
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (ended) return;
        ended = true;
        void this.#standardErrorRead().then(() => {
          options.onExit({
            code,
            signal,
            failure: this.#failure,
            fault: this.#fault,
            stateFolder: this.#stateFolder,
            lastLines: this.#lastLines,
          });
          resolve();
        });
      };
      this.#child.once("exit", end);
      this.#child.once("error", (error) => {
        this.#failure ??= `The engine process cannot be started: ${error.message}`;
        end(null, null);
      });
    });
    this.#listen(options);
    const { socketPath, settings } = options;
    this.#control.write(encodeLine({ type: "settings", socketPath, settings }));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Kills the process at once. `reason` becomes {@link EngineExit.failure}. */
  kill(reason: string): void {
    this.#failure = reason;
    this.#child.kill("SIGKILL");
  }

  /** Sends a stop message, then SIGKILL after a while. Resolves when the process has exited. */
  async stop(): Promise<void> {
    this.#control.write(encodeLine({ type: "stop" }));
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(kill);
  }

  #listen(options: EngineProcessOptions): void {
    const decoder = new LineDecoder<ControlReply>();
    this.#control.setEncoding("utf8");
    // The engine has exited; the exit event handles that.
    this.#control.on("error", () => {});
    this.#control.on("data", (chunk: string) => {
      for (const reply of decoder.push(chunk)) {
        if (reply.type === "ready") {
          this.#stateFolder = reply.stateFolder;
          options.onReady(reply.info);
        } else if (reply.type === "pulse") options.onPulse(reply);
        else {
          this.#failure = reply.message;
          this.#fault = reply.fault;
        }
      }
    });
    const { stderr } = this.#child;
    if (!stderr) return;
    createInterface({ input: stderr }).on("line", (line) => {
      // Native code prints the source of a rejected grammar, which may contain text of a client.
      if (line.includes("::=")) return;
      const shown = line.slice(0, MAX_LOG_LINE_CHARS);
      this.#lastLines.push(shown);
      if (this.#lastLines.length > MAX_LAST_LINES) this.#lastLines.shift();
      options.logger.warn({ engine: this.#child.pid, line: shown }, "engine stderr");
    });
  }

  /** Resolves when standard error has ended, or after a while: a process that inherited it may keep it open. */
  #standardErrorRead(): Promise<void> {
    const { stderr } = this.#child;
    if (stderr === null || stderr.readableEnded || stderr.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LAST_LINES_MS);
      stderr.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
