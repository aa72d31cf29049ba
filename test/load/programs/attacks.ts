import { setTimeout as pause } from "node:timers/promises";
import { percentile, spreadOf } from "../../bench/harness/statistics.ts";
import { attacks as catalog } from "../attacks/catalog.ts";
import type { Attack } from "../attacks/attack.ts";
import { startGenerator } from "../attacks/generator.ts";
import { runAttack, type AttackRun } from "../attacks/run-attack.ts";
import { roomForSockets } from "../socket-room.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import { tally } from "./report.ts";
import { inMib } from "./server-figures.ts";

/** Honest times beside an attack, as a multiple of those beside the same bytes on a bare server. */
const MAX_RATIO = 1.5;
/** Longest time in milliseconds that the service may keep its event loop, by its own CPU time. */
const MAX_DELAY_MS = 200;
/** Maximum connections of a scenario and of the honest chats. */
const SOCKETS = 4_100;
/** Rest between two runs, in which the system closes their connections. */
const REST_MS = 1_000;

/** Attacks from many addresses, beside honest chats. */
export const attacks: LoadProgram = {
  summary: "scripted attacks from up to 1,000 loopback addresses, beside honest authenticated chats",
  options: {
    seconds: { default: 12, doc: "seconds of each attack, which runs twice" },
    addresses: { default: 1000, doc: "addresses of the attackers, at most 1000" },
    honest: { default: 50, doc: "honest chats" },
    rounds: { default: 1, doc: "rounds of each attack; the median of their ratios of times counts" },
  },
  choice: { option: "attack", names: Object.keys(catalog), doc: "attacks to run" },
  async run({ seconds = 0, addresses = 0, honest = 0, rounds = 0 }, chosen) {
    const problem = roomForSockets(SOCKETS);
    if (problem !== null) throw new Error(problem);
    const plan = { seconds: Math.min(seconds, 60), addresses: Math.min(addresses, 1000) };
    const bars: Bar[] = [];
    for (const name of chosen) {
      const attack = catalog[name] as Attack;
      console.log(`${name}: ${attack.summary}`);
      const pairs: Pair[] = [];
      while (pairs.length < rounds) pairs.push(await runPair({ name, attack, plan, honest }));
      bars.push(...barsOf(name, attack, pairs));
    }
    return bars;
  },
};

/** One round: the attack on the service, and the same on a bare server beside the service. */
interface Pair {
  readonly attacked: AttackRun;
  readonly bare: AttackRun;
}

async function runPair(run: Parameters<typeof runAttack>[1]): Promise<Pair> {
  const generator = startGenerator();
  try {
    const attacked = await runAttack(generator, run, "service");
    await pause(REST_MS);
    const bare = await runAttack(generator, run, "bare");
    await pause(REST_MS);
    show(attacked, bare);
    return { attacked, bare };
  } finally {
    generator.stop();
  }
}

function show({ honest, counts, core, stalls }: AttackRun, bare: AttackRun): void {
  const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
  console.log(
    `  ${counts.opened} connections, ${inMib(counts.sent)} sent, ${inMib(counts.received)} received; ` +
      `bare: ${bare.counts.opened}, ${inMib(bare.counts.sent)}, ${inMib(bare.counts.received)}; ` +
      `honest: ${honest.answers} answers, ${honest.resumed} reconnects`,
  );
  console.log(
    `  event loop of the service: ran ${percent(core.ran)} of the time, waited ${percent(core.waited)} for a core; ` +
      `beside the bare server ${percent(bare.core.ran)} and ${percent(bare.core.waited)}`,
  );
  const faults = [...honest.refusals, ...honest.closes, ...honest.losses];
  if (faults.length > 0) console.error(`  ${tally(faults.map(withoutName)).slice(0, 600)}`);
  for (const stall of stalls.slice(0, 3)) console.error(`  ${JSON.stringify(stall)}`);
}

/** A fault without the name of its client, so that equal faults are counted together. */
const withoutName = (fault: string): string => fault.replace(/^honest-\d+: /, "");

function barsOf(name: string, attack: Attack, pairs: readonly Pair[]): Bar[] {
  const runs = pairs.map(({ attacked }) => attacked);
  const sum = (count: (run: AttackRun) => number): number =>
    runs.reduce((total, run) => total + count(run), 0);
  const worst = runs.reduce((a, b) =>
    b.memory.peak - b.memory.bound > a.memory.peak - a.memory.bound ? b : a,
  );
  const own = runs
    .flatMap(({ stalls }) => stalls)
    .filter(({ cpuMs }) => typeof cpuMs !== "number" || cpuMs > MAX_DELAY_MS);
  const delayMs = Math.max(...runs.map((run) => run.delayMs));
  const { before, peak, bound } = worst.memory;
  const bars = [
    none(
      `${name}: honest refusals`,
      sum(({ honest }) => honest.refusals.length),
    ),
    none(
      `${name}: honest closes`,
      sum(({ honest }) => honest.closes.length),
    ),
    none(
      `${name}: honest answers lost or altered`,
      sum(({ honest }) => honest.losses.length),
    ),
    ratioBar(`${name}: first token p99`, attack, pairs, ({ honest }) => honest.firstTokenMs),
    ratioBar(`${name}: token gap p99`, attack, pairs, ({ honest }) => honest.gapMs),
    bar(
      `${name}: resident memory`,
      `${inMib(peak)}, ${inMib(before)} before`,
      `<= ${inMib(bound)}`,
      peak <= bound,
    ),
    bar(
      `${name}: longest event-loop delay`,
      `${delayMs.toFixed(0)} ms; ${own.length} over ${MAX_DELAY_MS} ms of CPU`,
      `none over ${MAX_DELAY_MS} ms of CPU`,
      own.length === 0,
    ),
  ];
  if (!attack.contextAfterwards) return bars;
  const fault = runs.find(({ contextFault }) => contextFault !== null)?.contextFault ?? null;
  return [...bars, bar(`${name}: a context afterwards`, fault ?? "set", "set", fault === null)];
}

function ratioBar(
  what: string,
  attack: Attack,
  pairs: readonly Pair[],
  timesOf: (run: AttackRun) => readonly number[],
): Bar {
  const p99s = pairs.map(({ attacked, bare }) => ({
    there: percentile(timesOf(attacked), 0.99),
    alone: percentile(timesOf(bare), 0.99),
  }));
  const ratio = spreadOf(p99s.map(({ there, alone }) => there / alone)).median;
  const each = p99s.map(({ there, alone }) => `${there.toFixed(1)} : ${alone.toFixed(1)}`).join(", ");
  const measured = `${ratio.toFixed(2)} (${each} ms)`;
  if (attack.sharesSlots) return bar(what, measured, "none: slots are shared", true);
  return bar(what, measured, `<= ${MAX_RATIO} times the bare server`, ratio <= MAX_RATIO);
}
