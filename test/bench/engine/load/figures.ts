import type { Answer } from "../chat-target.ts";

/** Results of one run, by name. The name contains the unit. */
export type Figures = Readonly<Record<string, number>>;

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Jain's fairness index: 1 if all shares are equal, 1/n if one share is everything, NaN if all shares are zero. */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return (sum * sum) / (shares.length * squares);
}

/** Milliseconds from sending to the first text; infinite for an answer without text. */
export function firstTokenMs({ sentAt, textAt }: Answer): number {
  return (textAt[0] ?? Number.POSITIVE_INFINITY) - sentAt;
}

/** Gaps between consecutive pieces of text of one answer, for all answers. Counts gaps that end in [`from`, `to`). */
export function interTokenMs(
  answers: readonly Answer[],
  from = Number.NEGATIVE_INFINITY,
  to = Number.POSITIVE_INFINITY,
): number[] {
  const gaps: number[] = [];
  for (const { textAt } of answers) {
    for (let index = 1; index < textAt.length; index++) {
      const at = textAt[index] as number;
      if (at >= from && at < to) gaps.push(at - (textAt[index - 1] as number));
    }
  }
  return gaps;
}

/**
 * Tokens generated in [`from`, `to`). Each piece of text counts as the mean number of tokens per piece over the answers
 * with known usage, because servers hold text back until a character or a stop text is complete.
 */
export function tokensBetween(answers: readonly Answer[], from: number, to: number): number {
  let pieces = 0;
  let wholePieces = 0;
  let wholeTokens = 0;
  for (const { textAt, usage } of answers) {
    pieces += textAt.filter((at) => at >= from && at < to).length;
    if (usage === null) continue;
    wholePieces += textAt.length;
    wholeTokens += usage.completionTokens;
  }
  return wholePieces === 0 ? pieces : (pieces * wholeTokens) / wholePieces;
}

/** Sizes of the answers, to check that two servers had the same work. */
export function workFigures(answers: readonly Answer[]): Figures {
  const usages = answers.flatMap(({ usage, cancelled }) => (usage === null || cancelled ? [] : [usage]));
  return {
    answers: usages.length,
    "prompt tokens, mean": mean(usages.map(({ promptTokens }) => promptTokens)),
    "cached tokens, mean": mean(usages.map(({ cachedTokens }) => cachedTokens)),
    "answer tokens, mean": mean(usages.map(({ completionTokens }) => completionTokens)),
  };
}
