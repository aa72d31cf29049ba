import type { Service } from "../../support/service.ts";

/** The service's own metrics at one moment. */
export interface ServerFigures {
  /** Time of the reading by `performance.now()`, in milliseconds. */
  readonly at: number;
  /** Resident memory in bytes. */
  readonly rss: number;
  /** Gauges of the service by name, without the prefix `chat_`. Values are summed over labels. */
  readonly gauges: ReadonlyMap<string, number>;
}

/** Reads and parses /metrics. */
export async function readFigures(service: Service): Promise<ServerFigures> {
  const text = await (await service.http("/metrics")).text();
  const kinds = new Map<string, string>();
  const gauges = new Map<string, number>();
  let rss = Number.NaN;
  for (const line of text.split("\n")) {
    const kind = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (kind !== null) kinds.set(kind[1] as string, kind[2] as string);
    const sample = /^([a-z_]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (sample === null) continue;
    const name = sample[1] as string;
    const value = Number(sample[2]);
    if (name === "process_resident_memory_bytes") rss = value;
    if (!name.startsWith("chat_") || kinds.get(name) !== "gauge") continue;
    const short = name.slice("chat_".length);
    gauges.set(short, (gauges.get(short) ?? 0) + value);
  }
  return { at: performance.now(), rss, gauges };
}

export const MIB = 1_048_576;

export const inMib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

/** Growth of memory in bytes per minute: the slope of the least-squares line through the samples. */
export function slopePerMinute(samples: readonly Pick<ServerFigures, "at" | "rss">[]): number {
  const meanAt = samples.reduce((sum, { at }) => sum + at, 0) / samples.length;
  const meanRss = samples.reduce((sum, { rss }) => sum + rss, 0) / samples.length;
  let product = 0;
  let square = 0;
  for (const { at, rss } of samples) {
    product += (at - meanAt) * (rss - meanRss);
    square += (at - meanAt) ** 2;
  }
  return square === 0 ? 0 : (product / square) * 60_000;
}

/** Log lines of the service with level error or fatal. */
export function loggedErrors(service: Service): readonly Record<string, unknown>[] {
  return service.log.filter(({ level }) => level === "error" || level === "fatal");
}
