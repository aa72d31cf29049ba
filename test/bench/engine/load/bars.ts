import { spreadOf, type Spread } from "../../harness/statistics.ts";
import type { Figures } from "./figures.ts";

/** A limit on a figure: on the service's own value, or on its ratio to the control's value in the same pair. */
export interface Bar {
  readonly figure: string;
  readonly of: "ratio" | "own";
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** One measurement of the service and, if there is a control, one of the control. */
export interface Pair {
  readonly service: Figures;
  readonly control: Figures | null;
}

export interface Verdict {
  readonly bar: Bar;
  /** Spread over all pairs; null if there is no figure or no control. */
  readonly value: Spread | null;
  /** Whether the median meets the bar; null if there is no value. */
  readonly met: boolean | null;
}

/** Spread of a figure of one side; null if a pair lacks it. */
export function spreadOfFigure(pairs: readonly Pair[], side: keyof Pair, figure: string): Spread | null {
  return spreadOrNull(pairs.map((pair) => pair[side]?.[figure]));
}

/** Spread of the service's figure divided by the control's, pair by pair; null if a pair lacks one of them. */
export function spreadOfRatio(pairs: readonly Pair[], figure: string): Spread | null {
  return spreadOrNull(
    pairs.map(({ service, control }) => {
      const ours = service[figure];
      const theirs = control?.[figure];
      return ours === undefined || theirs === undefined ? undefined : ours / theirs;
    }),
  );
}

export function judge(bar: Bar, pairs: readonly Pair[]): Verdict {
  const value =
    bar.of === "ratio" ? spreadOfRatio(pairs, bar.figure) : spreadOfFigure(pairs, "service", bar.figure);
  if (value === null) return { bar, value, met: null };
  const { median } = value;
  const met =
    median >= (bar.atLeast ?? Number.NEGATIVE_INFINITY) && median <= (bar.atMost ?? Number.POSITIVE_INFINITY);
  return { bar, value, met };
}

/** `≥ 0.85`, `≤ 2` */
export function barText({ atLeast, atMost }: Bar): string {
  const parts = [
    ...(atLeast === undefined ? [] : [`≥ ${atLeast}`]),
    ...(atMost === undefined ? [] : [`≤ ${atMost}`]),
  ];
  return parts.join(" and ");
}

/** Null if a value is missing or NaN. NaN means that a run had nothing to measure. */
function spreadOrNull(values: readonly (number | undefined)[]): Spread | null {
  const known = values.filter((value): value is number => value !== undefined && !Number.isNaN(value));
  return known.length === values.length && known.length > 0 ? spreadOf(known) : null;
}
