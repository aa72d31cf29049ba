import type { Sampling } from "../../core/sampling.ts";

/** All that one generation needs to draw tokens. */
export interface ResolvedSampling {
  readonly temperature: number;
  readonly topP: number;
  /** Always over 0: 0 would sort the whole vocabulary, at a third of the speed. */
  readonly topK: number;
  readonly minP: number;
  /** 1: off. */
  readonly repeatPenalty: number;
  /** Unsigned 32-bit. Always explicit: the native default is the second of the day, equal for all who ask in it. */
  readonly seed: number;
  /** The request named the seed: it expects the same answer for it again. */
  readonly reproducible: boolean;
}

const SAFE = { temperature: 0.7, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1.1 } as const;

/** Request over model over safe defaults. `randomSeed` draws 32 bits where the request names no seed. */
export function resolveSampling(
  asked: Sampling,
  model: Sampling,
  constrained: boolean,
  randomSeed: () => number,
): ResolvedSampling {
  // A penalty would punish the quotes and braces that a grammar forces.
  const penalty = constrained ? 1 : (model.repeatPenalty ?? SAFE.repeatPenalty);
  const topK = asked.topK ?? model.topK ?? SAFE.topK;
  return {
    temperature: asked.temperature ?? model.temperature ?? SAFE.temperature,
    topP: asked.topP ?? model.topP ?? SAFE.topP,
    topK: topK >= 1 ? Math.floor(topK) : SAFE.topK,
    minP: asked.minP ?? model.minP ?? SAFE.minP,
    repeatPenalty: asked.repeatPenalty ?? penalty,
    seed: (asked.seed ?? randomSeed()) >>> 0,
    reproducible: asked.seed !== undefined,
  };
}
