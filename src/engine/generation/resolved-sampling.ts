import type { Sampling } from "../../core/sampling.ts";

/** Sampling parameters of one generation, with every value set. */
export interface ResolvedSampling {
  readonly temperature: number;
  readonly topP: number;
  /** At least 1. The native value 0 sorts the whole vocabulary, which cuts the speed to a third. */
  readonly topK: number;
  readonly minP: number;
  /** 1: off. */
  readonly repeatPenalty: number;
  /** Unsigned 32-bit. Always set: the native default is the current second, the same for all requests within it. */
  readonly seed: number;
  /** The request set the seed, so the same request must give the same answer. */
  readonly reproducible: boolean;
}

/** Used for values that neither the request nor the model sets. */
const DEFAULTS = { temperature: 0.7, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1.1 } as const;

/**
 * Takes each value from the request, else from the model, else from the defaults.
 *
 * @param constrained whether a grammar constrains the answer
 * @param randomSeed returns 32 random bits; called when the request sets no seed
 */
export function resolveSampling(
  requested: Sampling,
  model: Sampling,
  constrained: boolean,
  randomSeed: () => number,
): ResolvedSampling {
  // A penalty would punish the quotes and braces that a grammar forces.
  const penalty = constrained ? 1 : (model.repeatPenalty ?? DEFAULTS.repeatPenalty);
  const topK = requested.topK ?? model.topK ?? DEFAULTS.topK;
  return {
    temperature: requested.temperature ?? model.temperature ?? DEFAULTS.temperature,
    topP: requested.topP ?? model.topP ?? DEFAULTS.topP,
    topK: topK >= 1 ? Math.floor(topK) : DEFAULTS.topK,
    minP: requested.minP ?? model.minP ?? DEFAULTS.minP,
    repeatPenalty: requested.repeatPenalty ?? penalty,
    seed: (requested.seed ?? randomSeed()) >>> 0,
    reproducible: requested.seed !== undefined,
  };
}
