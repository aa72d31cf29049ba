/** Sampling parameters. An absent one takes the default of the model (models.json) or of the remote server. */
export interface Sampling {
  /** 0..2; 0 is greedy. */
  readonly temperature?: number;
  /** 0..1 */
  readonly topP?: number;
  /** ≥ 1; local provider only. */
  readonly topK?: number;
  /** 0..1; local provider only. */
  readonly minP?: number;
  /** ≥ 1, where 1 is off; local provider only. */
  readonly repeatPenalty?: number;
  /** 32-bit. The same seed and prompt give the same answer if the provider supports it. Absent: random per request. */
  readonly seed?: number;
  /** Texts that end the answer and are not part of it. At most 8, each of at most 64 characters. */
  readonly stop?: readonly string[];
}
