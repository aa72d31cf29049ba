import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import type { Logger } from "../core/logger.ts";
import {
  CONTROL_FD,
  type ControlReply,
  type EnginePulse,
  type EngineSettings,
} from "../engine-wire/control.ts";
import type { EngineInfo } from "../engine-wire/engine-status.ts";
import { encodeLine, LineDecoder } from "../engine-wire/line-codec.ts";

/** How an engine process ended. */
export interface EngineExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the engine itself gave as the reason where it could not start, or why it was killed. */
  readonly failure: string | undefined;
  /** Where it stored states of sequences, if it told. */
  readonly stateFolder: string | undefined;
}

export interface EngineProcessOptions {
  /** Arguments of this very Node.js: the entry, after `--import tsx` and the like. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly socketPath: string;
  readonly settings: EngineSettings;
  readonly logger: Logger;
  readonly onReady: (info: EngineInfo) => void;
  readonly onPulse: (pulse: EnginePulse) => void;
  readonly onExit: (exit: EngineExit) => void;
}

const STOP_MS = 2000;
const LONGEST_LINE = 500;

/** One life of the engine. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #control: Duplex;
  readonly #exited: Promise<void>;
  #failure: string | undefined;
  #stateFolder: string | undefined;

  constructor(options: EngineProcessOptions) {
    this.#child = spawn(process.execPath, [...options.args], {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      env: options.env,
    });
    this.#control = this.#child.stdio[CONTROL_FD] as Duplex;
    this.#exited = new Promise((resolve) => {
      let over = false;
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (over) return;
        over = true;
        options.onExit({ code, signal, failure: this.#failure, stateFolder: this.#stateFolder });
        resolve();
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

  /** Ends it at once; `reason` is what its exit tells. */
  kill(reason: string): void {
    this.#failure = reason;
    this.#child.kill("SIGKILL");
  }

  /** Asks, then signals, then kills. Ends when the process is gone. */
  async stop(): Promise<void> {
    this.#control.write(encodeLine({ type: "stop" }));
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await this.#exited;
    clearTimeout(kill);
  }

  #listen(options: EngineProcessOptions): void {
    const decoder = new LineDecoder<ControlReply>();
    this.#control.setEncoding("utf8");
    // The engine is gone; its exit is what counts.
    this.#control.on("error", () => {});
    this.#control.on("data", (chunk: string) => {
      for (const reply of decoder.push(chunk)) {
        if (reply.type === "ready") {
          this.#stateFolder = reply.stateFolder;
          options.onReady(reply.info);
        } else if (reply.type === "pulse") options.onPulse(reply);
        else this.#failure = reply.message;
      }
    });
    const { stderr } = this.#child;
    if (!stderr) return;
    createInterface({ input: stderr }).on("line", (line) => {
      // Native code prints the source of a grammar that it refuses; it may hold words of a client.
      if (line.includes("::=")) return;
      options.logger.warn({ engine: this.#child.pid, line: line.slice(0, LONGEST_LINE) }, "engine says");
    });
  }
}
