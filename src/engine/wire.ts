import type { ErrorReport } from "../core/errors.ts";
import type { Turn } from "../core/fit-prompt.ts";
import type { Sampling } from "../core/sampling.ts";

/**
 * What crosses the Unix socket between gateways and the engine: one JSON line a message. Each connection has its own
 * ids. One `tick` carries the new text of every request of a connection, so the channel costs next to nothing.
 */

/** A `ChatRequest` as the engine needs it. */
export interface EngineRequest {
  readonly system: string;
  readonly context: string | null;
  readonly turns: readonly Turn[];
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly jsonSchema?: Readonly<Record<string, unknown>>;
  /** Owner of the data: KV of one client is never reused for another, save for the system text. */
  readonly client: string;
  /** Who is charged. */
  readonly charge: string;
  /** Its share against others of weight 1; bounded to 0.01..100. Default 1. */
  readonly weight?: number;
  readonly conversation: string;
  readonly continueFrom?: string;
}

/** A client's context that has been set: its beginning of all prompts is processed before the client asks. */
export type PrepareRequest = Pick<EngineRequest, "system" | "context" | "client" | "charge" | "weight">;

/** Whose KV is to go: all of a client's, or that of one conversation. */
export interface ForgetRequest {
  readonly client: string;
  readonly conversation?: string;
}

/** What a loaded engine is, for the start block and the welcome. */
export interface EngineInfo {
  /** Name of the entry of models.json, or of the file. */
  readonly modelName: string;
  /** Architecture, size and quantisation, for people: `llama 135M Q4_1`. */
  readonly modelDescription: string;
  readonly modelBytes: number;
  /** Tokens of one slot, prompt and answer together. */
  readonly contextTokens: number;
  readonly slots: number;
  /** CPU threads for inference. */
  readonly threads: number;
  readonly gpu: false | "cuda" | "vulkan" | "metal";
  /** Names of the devices in use; empty on the CPU. */
  readonly gpuDevices: readonly string[];
  /** Memory of all slots. */
  readonly kvBytes: number;
  /** Memory that was free when the number of slots was computed from it; absent where it was set. */
  readonly autoFromBytes?: number;
  /** Name of the chat template in force. */
  readonly template: string;
  readonly loadMs: number;
  /** What people should know: a GPU that was tried and failed, a setting that was lowered. */
  readonly notes: readonly string[];
}

export interface EngineStats {
  /** Requests that wait for a slot. */
  readonly waiting: number;
  /** Requests in slots. */
  readonly running: number;
  /** Tokens kept in the slots. */
  readonly keptTokens: number;
  /** Smoothed length of a step in milliseconds. */
  readonly tickMs: number;
  /** Smoothed number of sequences in a step. */
  readonly batch: number;
  /** Smoothed share of prompt tokens in all tokens of a step, 0..1. */
  readonly promptShare: number;
  /** Prompt tokens of those who wait. */
  readonly waitingTokens: number;
  /** Prompt tokens of started requests that were not processed again, since the start, by where they were kept. */
  readonly cachedSlot: number;
  readonly cachedParked: number;
  readonly cachedShared: number;
  /** Stored states of sequences. */
  readonly parkedBytes: number;
  readonly parkedStates: number;
  /** Answers that had to give their slot away for a time, since the start. */
  readonly parkings: number;
  /** How often conversations that lost their slot come back, over 0 and at most 1, by the latest. */
  readonly returnRate: number;
  /** Slots and stored states that were emptied since their client or conversation is gone, since the start. */
  readonly forgotten: number;
  /** Tokens guessed by prompt look-up since the start, and those of them that the model drew as well. */
  readonly guessedTokens: number;
  readonly acceptedTokens: number;
}

export const NO_STATS: EngineStats = {
  waiting: 0,
  running: 0,
  keptTokens: 0,
  tickMs: 0,
  batch: 0,
  promptShare: 0,
  waitingTokens: 0,
  cachedSlot: 0,
  cachedParked: 0,
  cachedShared: 0,
  parkedBytes: 0,
  parkedStates: 0,
  parkings: 0,
  returnRate: 1,
  forgotten: 0,
  guessedTokens: 0,
  acceptedTokens: 0,
};

export interface WireUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

export type GatewayMessage =
  | { readonly type: "start"; readonly id: number; readonly request: EngineRequest }
  | { readonly type: "cancel"; readonly id: number }
  /** Without a reply: it may be dropped. */
  | { readonly type: "prepare"; readonly request: PrepareRequest }
  /** Without a reply: an engine that is not there holds nothing. */
  | { readonly type: "forget"; readonly request: ForgetRequest }
  | { readonly type: "count"; readonly id: number; readonly text: string };

/** All that happened to a connection's requests in one step. For one id the order is the order of the fields. */
export interface TickMessage {
  readonly type: "tick";
  readonly queued?: readonly QueuedNote[];
  readonly started?: readonly StartedNote[];
  readonly progress?: readonly ProgressNote[];
  readonly deltas?: readonly DeltaNote[];
  readonly finished?: readonly FinishedNote[];
  readonly failed?: readonly FailedNote[];
}

/** id, position (1 = next), estimated milliseconds until it starts (absent where unknown). */
export type QueuedNote = readonly [id: number, position: number, etaMs?: number];
/** id, prompt tokens, cached tokens, dropped turns. */
export type StartedNote = readonly [
  id: number,
  promptTokens: number,
  cachedTokens: number,
  droppedTurns: number,
];
export type ProgressNote = readonly [id: number, processed: number, total: number];
/** id, whole characters, tokens they took. */
export type DeltaNote = readonly [id: number, text: string, tokens: number];
export type FinishedNote = readonly [id: number, reason: "stop" | "length", usage: WireUsage];
export type FailedNote = readonly [id: number, report: ErrorReport];

export type EngineMessage =
  | { readonly type: "ready"; readonly info: EngineInfo }
  | TickMessage
  | { readonly type: "counted"; readonly id: number; readonly tokens: number }
  | { readonly type: "stats"; readonly stats: EngineStats };

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
  /** The engine cannot start with these settings; it exits. The message says what to mend. */
  | { readonly type: "failed"; readonly message: string };

/** Where the engine stands, as its supervisor tells it. */
export interface EngineStatus {
  readonly state: "starting" | "ready" | "degraded" | "down";
  /** For people; empty when ready. */
  readonly reason: string;
  /** Of the last start that succeeded. */
  readonly info?: EngineInfo;
}

/** The descriptor of the control channel in the engine process. */
export const CONTROL_FD = 3;

/** A longer line is a fault of the other side: the connection is closed. In UTF-16 units. */
export const MAX_LINE_CHARS = 8 * 1_048_576;

/** One message as it goes over a channel. JSON escapes lone surrogates and new lines, so any text survives. */
export function encodeLine(message: GatewayMessage | EngineMessage | ControlMessage | ControlReply): string {
  return `${JSON.stringify(message)}\n`;
}

/** Cuts a stream of text into messages. Feed it with `setEncoding("utf8")` chunks. */
export class LineDecoder<T> {
  private rest = "";
  private readonly limit: number;

  constructor(limit: number = MAX_LINE_CHARS) {
    this.limit = limit;
  }

  /** @throws Error when a line is longer than the limit or is not JSON. */
  push(chunk: string): T[] {
    const messages: T[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf("\n", from);
      if (end < 0) break;
      const line = this.rest + chunk.slice(from, end);
      this.rest = "";
      from = end + 1;
      if (line.length > this.limit) throw new Error(`a line of ${line.length} characters is over the limit`);
      messages.push(JSON.parse(line) as T);
    }
    this.rest += from === 0 ? chunk : chunk.slice(from);
    if (this.rest.length > this.limit) throw new Error(`a line is over ${this.limit} characters`);
    return messages;
  }
}
