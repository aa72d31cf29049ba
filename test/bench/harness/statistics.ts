/** Median, minimum and maximum of a list of figures. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** @throws RangeError on an empty list. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const least = sorted[0];
  const most = sorted.at(-1);
  if (upper === undefined || least === undefined || most === undefined) {
    throw new RangeError("an empty list has no median");
  }
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
  return { median, least, most };
}

/**
 * Percentile by the nearest-rank method, so always one of the values; NaN if there are none. `share` is in [0, 1].
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  // A product such as 0.28 * 200 can be slightly above the whole number.
  const rank = Math.max(1, Math.ceil(share * sorted.length - 1e-9));
  return sorted[rank - 1] ?? Number.NaN;
}
