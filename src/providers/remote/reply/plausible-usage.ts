import type { Usage } from "../../provider.ts";

/** More bytes than any tokenizer puts into a token on average, as a multiple of the estimate (bytes / 3). */
const MAX_OVERESTIMATE = 8;
/** A tokenizer needs at most one token for each byte, and a prompt of window × 3 bytes is estimated to fill the window. */
const MAX_WINDOWS = 3;

/** What this service counted itself. */
export interface OwnCounts {
  /** Estimate, bytes / 3. */
  readonly promptTokens: number;
  /** A lower bound: the tokens of the text received. */
  readonly completionTokens: number;
  /** The part of them that is reasoning. */
  readonly reasoningTokens: number;
  /** Window of the model in tokens. */
  readonly contextTokens: number;
  /** Whether this service ended the answer, so that the server did not count all of it. */
  readonly cut: boolean;
}

/** Replaces counts of a server that cannot be right by our own, and sets `estimated` then. */
export function plausibleUsage(reported: Usage, own: OwnCounts): Usage {
  const max = own.contextTokens * MAX_WINDOWS;
  const { promptTokens, completionTokens, cachedTokens } = reported;
  const isPrompt = promptTokens * MAX_OVERESTIMATE >= own.promptTokens && promptTokens <= max;
  const isCompletion = !own.cut && completionTokens >= own.completionTokens && completionTokens <= max;
  if (isPrompt && isCompletion) return reported;
  const prompt = isPrompt ? promptTokens : own.promptTokens;
  const completion = isCompletion ? completionTokens : own.completionTokens;
  const reasoning = isCompletion ? (reported.reasoningTokens ?? 0) : own.reasoningTokens;
  return {
    promptTokens: prompt,
    completionTokens: completion,
    cachedTokens: Math.min(cachedTokens, prompt),
    ...(reasoning > 0 && { reasoningTokens: Math.min(reasoning, completion) }),
    estimated: true,
  };
}
