import { tableLines } from "../support/table.ts";

/** The part of k6's `handleSummary` data that the report needs. */
export interface K6Summary {
  readonly metrics: Readonly<Record<string, K6Metric>>;
  readonly root_group: K6Group;
  readonly state: { readonly testRunDurationMs: number };
}

export interface K6Metric {
  readonly type: "trend" | "counter" | "rate" | "gauge";
  readonly values: Readonly<Record<string, number>>;
  readonly thresholds?: Readonly<Record<string, { readonly ok: boolean }>>;
}

interface K6Group {
  readonly groups: readonly K6Group[];
  readonly checks: readonly { readonly name: string; readonly passes: number; readonly fails: number }[];
}

/** Table of the scripts' own metrics and of all thresholds, followed by the failed checks by name. */
export function summaryLines({ metrics, root_group: root }: K6Summary): string[] {
  const own = Object.entries(metrics)
    .filter(([name, { thresholds }]) => name.startsWith("chat_") || thresholds !== undefined)
    .toSorted(([a], [b]) => a.localeCompare(b));
  const rows = own.map(([name, metric]) => [name, figures(metric), verdict(metric)]);
  return [...tableLines([["metric", "figures", "thresholds"], ...rows], "left"), ...failedChecks(root)];
}

function figures({ type, values }: K6Metric): string {
  const value = (name: string): number => values[name] ?? 0;
  switch (type) {
    case "trend":
      return `median ${ms(value("med"))}, p95 ${ms(value("p(95)"))}, p99 ${ms(value("p(99)"))}, max ${ms(value("max"))}`;
    case "rate":
      // k6 counts a true sample as passed, whether true is good or bad for this rate.
      return `${value("passes")} of ${value("passes") + value("fails")}`;
    default:
      return String(value("count") || value("value"));
  }
}

function verdict({ thresholds = {} }: K6Metric): string {
  return Object.entries(thresholds)
    .map(([threshold, { ok }]) => `${threshold} ${ok ? "ok" : "FAILED"}`)
    .join(", ");
}

function failedChecks(group: K6Group): string[] {
  const failed = group.checks
    .filter(({ fails }) => fails > 0)
    .map(({ name, passes, fails }) => `FAILED ${fails} of ${fails + passes}: ${name}`);
  return [...failed, ...group.groups.flatMap(failedChecks)];
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
