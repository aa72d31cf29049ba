import type { Sampling } from "../core/sampling.ts";
import type { EngineInfo } from "./engine-status.ts";

/** Settings of the engine. They are the first line on its control channel and are never passed in the environment. */
export interface EngineSettings {
  /** A GGUF file. */
  readonly modelPath: string;
  /** Name for people. Empty: the file name. */
  readonly modelName: string;
  /** `auto` (from the file), `zephyr`, or the name of a template of node-llama-cpp such as `chatml`. */
  readonly template: string;
  /** Role markers of the template besides those found in the model file. */
  readonly roleMarkers: readonly string[];
  /** Defaults of the model for values that a request does not set. */
  readonly sampling: Omit<Sampling, "seed" | "stop">;
  /** Number of slots, 1..256. Absent: computed. */
  readonly slots?: number;
  /** Window of a slot in tokens. Absent: computed. */
  readonly contextTokens?: number;
  /** CPU threads for inference. Absent: computed. */
  readonly threads?: number;
  readonly gpu: "auto" | "off" | "cuda" | "vulkan" | "metal";
  /** Upper bound of the length of a step, in milliseconds. */
  readonly maxTickMs: number;
  /** Target time between two tokens of an answer, in milliseconds. */
  readonly itlTargetMs: number;
  /** Upper bound of the requests in the queue. */
  readonly queueLimit: number;
  /** Budget for states of sequences in files, in bytes; 0: states are not stored. */
  readonly kvCacheBytes: number;
  /** Whether prompt lookup guesses tokens while an answer runs alone. */
  readonly lookup: boolean;
}

/** main → engine on the control channel. */
export type ControlMessage =
  | { readonly type: "settings"; readonly socketPath: string; readonly settings: EngineSettings }
  | { readonly type: "stop" };

/** Heartbeat of the engine, sent each second and when `longWork` changes. */
export interface EnginePulse {
  /** Whether any request runs, waits or is being prepared. */
  readonly busy: boolean;
  /** Counter that increases with every step and every prepared request. */
  readonly moved: number;
  /** Smoothed length of a step in milliseconds. */
  readonly tickMs: number;
  /** Whether the engine loads or saves a state or compiles a grammar, which may take long without being a hang. */
  readonly longWork: boolean;
}

/** engine → main on the control channel. */
export type ControlReply =
  /**
   * `stateFolder`: folder of the stored states; main removes it after the engine exits. Absent: states are not stored.
   */
  | { readonly type: "ready"; readonly info: EngineInfo; readonly stateFolder?: string }
  | ({ readonly type: "pulse" } & EnginePulse)
  /** The engine cannot start with these settings; it exits. */
  | { readonly type: "failed"; readonly message: string; readonly fault: LoadFault };

/**
 * What failed at the start of the engine. `file`: the library cannot load the file, and the message is its short
 * reason. `model`: the loaded model cannot be used with the settings. `setup`: no other file could be loaded either. The
 * message of the last two explains what to fix.
 */
export type LoadFault = "file" | "model" | "setup";

/** File descriptor of the control channel in the engine process. */
export const CONTROL_FD = 3;
