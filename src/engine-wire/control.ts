import type { Sampling } from "../core/sampling.ts";
import type { EngineInfo } from "./engine-status.ts";

/** Settings of the engine, handed over as the first line of its control channel and never by the environment. */
export interface EngineSettings {
  /** A GGUF file. */
  readonly modelPath: string;
  readonly modelName: string;
  /** `auto` (from the file), `zephyr`, `chatml`, or a name that node-llama-cpp knows. */
  readonly template: string;
  /** Role markers of the template beyond those found in the model file. */
  readonly roleMarkers: readonly string[];
  /** Defaults of the model for what a request does not say. */
  readonly sampling: Omit<Sampling, "seed" | "stop">;
  /** Absent: computed. 1..256 */
  readonly slots?: number;
  /** Tokens per slot. Absent: computed. */
  readonly contextTokens?: number;
  /** Absent: computed. */
  readonly threads?: number;
  readonly gpu: "auto" | "off" | "cuda" | "vulkan" | "metal";
  readonly maxTickMs: number;
  readonly itlTargetMs: number;
  readonly queueLimit: number;
  /** Bytes for states of sequences in files; 0: none are stored. */
  readonly kvCacheBytes: number;
  /** Whether tokens are guessed by prompt look-up while an answer runs alone. */
  readonly lookup: boolean;
}

/** main → engine on the control channel. */
export type ControlMessage =
  | { readonly type: "settings"; readonly socketPath: string; readonly settings: EngineSettings }
  | { readonly type: "stop" };

/** A sign of life, each second and when `longWork` changes. */
export interface EnginePulse {
  /** Whether anything runs, waits or is being prepared. */
  readonly busy: boolean;
  /** Rises with every step and every request that was prepared. */
  readonly moved: number;
  /** Smoothed length of a step in milliseconds. */
  readonly tickMs: number;
  /** It loads or saves a state or compiles a grammar, which may rightly take long. */
  readonly longWork: boolean;
}

/** engine → main on the control channel. */
export type ControlReply =
  /** `stateFolder`: where it stores states; whoever sees it die removes that. Absent where none are stored. */
  | { readonly type: "ready"; readonly info: EngineInfo; readonly stateFolder?: string }
  | ({ readonly type: "pulse" } & EnginePulse)
  /** The engine cannot start with these settings; it exits. The message says what to fix. */
  | { readonly type: "failed"; readonly message: string };

/** The descriptor of the control channel in the engine process. */
export const CONTROL_FD = 3;
