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
  readonly cachedStored: number;
  readonly cachedShared: number;
  /** Stored states of sequences. */
  readonly storedBytes: number;
  readonly storedStates: number;
  /** Answers that had to give their slot away for a time, since the start. */
  readonly preemptions: number;
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
  cachedStored: 0,
  cachedShared: 0,
  storedBytes: 0,
  storedStates: 0,
  preemptions: 0,
  returnRate: 1,
  forgotten: 0,
  guessedTokens: 0,
  acceptedTokens: 0,
};

/** Where the engine stands, as its supervisor tells it. */
export interface EngineStatus {
  readonly state: "starting" | "ready" | "degraded" | "down";
  /** For people; empty when ready. */
  readonly reason: string;
  /** Of the last start that succeeded. */
  readonly info?: EngineInfo;
}
