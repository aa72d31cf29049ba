/** How tokens are drawn. What is absent takes the default of the model (models.json) or of the remote server. */
export interface Sampling {
  /** 0..2; 0 is greedy. */
  readonly temperature?: number;
  /** 0..1 */
  readonly topP?: number;
  /** ≥ 1; local provider only. */
  readonly topK?: number;
  /** 0..1; local provider only. */
  readonly minP?: number;
  /** ≥ 1 (1: off); local provider only. */
  readonly repeatPenalty?: number;
  /** 32-bit; the same seed and prompt give the same answer where the provider can. Absent: random for each request. */
  readonly seed?: number;
  /** Texts that end the answer and are not part of it. At most 8 of at most 64 characters. */
  readonly stop?: readonly string[];
}
