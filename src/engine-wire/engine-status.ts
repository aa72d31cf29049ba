/** Properties of a loaded engine, for the start banner and the welcome. */
export interface EngineInfo {
  /** Name of the entry in models.json, or of the file. */
  readonly modelName: string;
  /** Architecture, size and quantisation, for people: `llama 135M Q4_1`. */
  readonly modelDescription: string;
  /** Size of the weights. */
  readonly modelBytes: number;
  /** Window of one slot in tokens, prompt and answer together. */
  readonly contextTokens: number;
  readonly slots: number;
  /** CPU threads for inference. */
  readonly threads: number;
  readonly gpu: false | "cuda" | "vulkan" | "metal";
  /** Names of the GPUs in use; empty on the CPU. */
  readonly gpuDevices: readonly string[];
  /** KV memory of all slots. */
  readonly kvBytes: number;
  /** Free memory from which the number of slots was computed. Absent when the setting fixed that number. */
  readonly autoFromBytes?: number;
  /** Name of the chat template in use. */
  readonly template: string;
  /** Time to load the model, in milliseconds. */
  readonly loadMs: number;
  /** Notes for the operator, such as a GPU that failed to load. */
  readonly notes: readonly string[];
}

/** Load and counters of the engine. Counters start at zero with each engine process. */
export interface EngineStats {
  /** Requests waiting for a slot. */
  readonly waiting: number;
  /** Requests in slots. */
  readonly running: number;
  /** Tokens in the KV of all slots. */
  readonly keptTokens: number;
  /** Smoothed length of a step in milliseconds. */
  readonly tickMs: number;
  /** Smoothed number of sequences in a step. */
  readonly batch: number;
  /** Smoothed share of prompt tokens among all tokens of a step, 0..1. */
  readonly promptShare: number;
  /** Prompt tokens of the waiting requests. */
  readonly waitingTokens: number;
  /** Prompt tokens reused from the KV of a slot, since the start. */
  readonly cachedSlot: number;
  /** Prompt tokens reused from a stored state, since the start. */
  readonly cachedStored: number;
  /** Prompt tokens reused from the stored state of a shared system text, since the start. */
  readonly cachedShared: number;
  /** Bytes of all stored states of sequences. */
  readonly storedBytes: number;
  /** Number of stored states of sequences. */
  readonly storedStates: number;
  /** Waiting requests that lost their place to another principal, since the start. */
  readonly displaced: number;
  /** Number of times an answer lost its slot to another one for a while, since the start. */
  readonly preemptions: number;
  /** Share of the latest displaced conversations that sent another request; greater than 0, at most 1. */
  readonly returnRate: number;
  /** Slots and stored states emptied because their client or conversation was deleted, since the start. */
  readonly forgotten: number;
  /** Tokens guessed by prompt lookup, since the start. */
  readonly guessedTokens: number;
  /** Guessed tokens that the model drew as well, since the start. */
  readonly acceptedTokens: number;
}

/** Statistics before the engine has sent any. */
export const NO_STATS: EngineStats = {
  waiting: 0,
  running: 0,
  keptTokens: 0,
  tickMs: 0,
  batch: 0,
  promptShare: 0,
  waitingTokens: 0,
  cachedSlot: 0,
  cachedStored: 0,
  cachedShared: 0,
  storedBytes: 0,
  storedStates: 0,
  displaced: 0,
  preemptions: 0,
  returnRate: 1,
  forgotten: 0,
  guessedTokens: 0,
  acceptedTokens: 0,
};

/** State of the engine, as reported by its supervisor. */
export interface EngineStatus {
  readonly state: "starting" | "ready" | "degraded" | "down";
  /** Reason for people; empty when ready. */
  readonly reason: string;
  /** Properties from the last successful start. */
  readonly info?: EngineInfo;
}
