import type { Service } from "../../support/service.ts";

/** What the service tells of itself at one moment. */
export interface ServerFigures {
  /** Milliseconds of this process's clock. */
  readonly at: number;
  /** Resident memory in bytes. */
  readonly rss: number;
  /** The service's own gauges, labels summed, by name without `chat_`. */
  readonly gauges: ReadonlyMap<string, number>;
}

/** Reads /metrics. */
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

/** Bytes by which memory grows in a minute: the line of least squares through the samples. */
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

/** Lines of level error and fatal in the service's log. */
export function faultsOf(service: Service): readonly Record<string, unknown>[] {
  return service.log.filter(({ level }) => level === "error" || level === "fatal");
}
