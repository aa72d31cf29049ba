import { availableParallelism } from "node:os";
import { cpuSeconds } from "./cpu-time.ts";
import { pin } from "./machine.ts";
import type { LoadClients } from "./processes.ts";
import { spreadOf, type Spread } from "./statistics.ts";

/** A server with the clients that load it. */
export interface Contender {
  readonly name: string;
  /** Process id of the server. */
  readonly pid: number;
  readonly clients: Pick<LoadClients, "pids" | "run">;
}

export interface RoundsOptions {
  /** Number of measurements per contender. */
  readonly rounds: number;
  /** Length of one measurement, in seconds. */
  readonly seconds: number;
}

/** One measurement of one contender. */
export interface Sample {
  readonly replies: number;
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
}

export interface Standing {
  readonly name: string;
  /** Replies per CPU second of the server. */
  readonly rate: Spread;
  /** Rate divided by the yardstick's rate, round by round; 1 for the yardstick itself. */
  readonly ratio: Spread;
  /** Median share of a core that the server used. Well below 1, the clients were the bottleneck. */
  readonly coreUsed: number;
  readonly samples: readonly Sample[];
}

export interface RoundsResult {
  /** In the order of the contenders; the last is the yardstick. */
  readonly standings: readonly Standing[];
  readonly pinned: boolean;
}

/** Warm-up in milliseconds, until the code is compiled and the heap has reached its size. */
const WARM_UP_MS = 3000;

/**
 * Measures the contenders one after the other, round after round, so that other load on the machine affects all of them
 * equally. The last contender is the yardstick.
 */
export async function measureInTurns(
  contenders: readonly Contender[],
  { rounds, seconds }: RoundsOptions,
): Promise<RoundsResult> {
  const pinned = pinApart(contenders);
  for (const { clients } of contenders) await clients.run(WARM_UP_MS);
  const samples: Sample[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      samples[index]?.push(await measure(contender, seconds));
    }
  }
  const yardstick = samples.at(-1) ?? [];
  const standings = contenders.map(({ name }, index) => standingOf(name, samples[index] ?? [], yardstick));
  return { standings, pinned };
}

/** Pins servers to the first core and clients to the others. @returns whether all were pinned. */
function pinApart(contenders: readonly Contender[]): boolean {
  const last = availableParallelism() - 1;
  if (last < 1) return false;
  return contenders.every(
    ({ pid, clients }) => pin(pid, "0") && clients.pids.every((client) => pin(client, `1-${last}`)),
  );
}

/** Measures from idle to idle, so that every reply and all its CPU time are included. */
async function measure({ pid, clients }: Contender, seconds: number): Promise<Sample> {
  const cpuBefore = cpuSeconds(pid);
  const begin = performance.now();
  const replies = await clients.run(seconds * 1000);
  const wallSeconds = (performance.now() - begin) / 1000;
  return { replies, cpuSeconds: cpuSeconds(pid) - cpuBefore, wallSeconds };
}

function standingOf(name: string, samples: readonly Sample[], yardstick: readonly Sample[]): Standing {
  const ratios = samples.map((sample, round) => rateOf(sample) / rateOf(yardstick[round] as Sample));
  return {
    name,
    rate: spreadOf(samples.map(rateOf)),
    ratio: spreadOf(ratios),
    coreUsed: spreadOf(samples.map((it) => it.cpuSeconds / it.wallSeconds)).median,
    samples,
  };
}

function rateOf({ replies, cpuSeconds: seconds }: Sample): number {
  return replies / seconds;
}
