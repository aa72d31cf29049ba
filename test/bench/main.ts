// npm run bench -- <name> [options]: measures the built service and a yardstick on this machine.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import buildOnce from "../support/build-once.ts";
import { tableLines } from "../support/table.ts";
import { addressMemoryBench } from "./address-memory.ts";
import { chainOverheadBench } from "./chain/overhead.ts";
import { outageBench } from "./chain/outage.ts";
import { measureChatPath } from "./chat-path.ts";
import { measureConnect } from "./connect.ts";
import { engineBench } from "./engine/engine-bench.ts";
import { lockStepBench } from "./engine/lock-step.ts";
import { measureFramePath, type FramePathOptions } from "./frame-path.ts";
import { machineFacts, type MachineFacts } from "./harness/machine.ts";
import type { RoundsResult, Standing } from "./harness/rounds.ts";
import { idleMemoryBench } from "./idle-memory.ts";
import { measurePacedTokens } from "./paced-tokens.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const USAGE = `npm run bench -- frame-path|chat-path|paced-tokens|connect|idle-memory|address-memory|engine|lock-step|chain
                     |outage [options]

  frame-path    ping to pong, against a raw uWebSockets.js echo of as many bytes
  chat-path     a message to its whole answer by the echo provider, against the same raw echo
  paced-tokens  frames of answers at 50 tokens per second, against a bare send loop
  connect       upgrade and welcome, with and without a token, against a raw upgrade
  idle-memory   memory that an idle authenticated socket adds to the process; has no options
  address-memory  sizes of what one address can hold, against docs/security.md; has no options
  engine        answers of the local model, against llama-server; for its options see: engine --help
  lock-step     one token for each of several chats, in a shared pass and in separate passes, without the service:
                --model NAME (tinyllama-shape), --chats 2,4,8,16,32, --rounds N (9), --prompt N (100), --answer N (64)
  chain         time that the provider chain adds per token: --pairs N (31), --tokens N (50000)
  outage        a provider that fails every request, under load: --seconds N (60), --rate N (50), --breaker N (2)

The first four count replies or frames per CPU second of the server. Their options:

  --pairs N       measurements of each server, alternating (default 11)
  --seconds N     length of each measurement (default 1.5)
  --sockets N     sockets per server (default 200; paced-tokens: 1000); connect: sockets being opened at once (default 50)
  --depth N       frame-path: outstanding requests per socket (default 1)
  --clients N     load client processes per server (default 1)
  --at-least N    exit with 1 if the median ratio of the service is below N`;

interface Bench {
  /** Target for the ratio of the first contender, measured with a depth of 1. */
  readonly aim: number;
  readonly sockets: number;
  readonly contenders: number;
  measure(options: FramePathOptions): Promise<RoundsResult>;
}

const benches: Readonly<Record<string, Bench>> = {
  "frame-path": { aim: 0.8, sockets: 200, contenders: 2, measure: measureFramePath },
  "chat-path": { aim: 0.5, sockets: 200, contenders: 2, measure: measureChatPath },
  "paced-tokens": { aim: 0.8, sockets: 1000, contenders: 2, measure: measurePacedTokens },
  connect: { aim: 0.9, sockets: 50, contenders: 3, measure: measureConnect },
};

interface Plan extends FramePathOptions {
  readonly name: string;
  readonly bench: Bench;
  readonly atLeast: number | null;
}

// Without a handler, a signal would end this process without its exit handlers, which stop the child processes.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const [name, ...rest] = process.argv.slice(2);
  if (name === "engine") {
    buildOnce();
    return engineBench(rest);
  }
  if (name === "lock-step") return lockStepBench(rest);
  if (name === "chain") return chainOverheadBench(rest);
  if (name === "outage") {
    buildOnce();
    return outageBench(rest);
  }
  if (name === "idle-memory" && rest.length === 0) {
    buildOnce();
    return idleMemoryBench(machineFacts(), save);
  }
  if (name === "address-memory" && rest.length === 0) {
    buildOnce();
    return addressMemoryBench(save);
  }
  const plan = readPlan();
  if (plan === null) {
    console.error(USAGE);
    return 2;
  }
  const { name: chosen, bench, atLeast, ...options } = plan;
  buildOnce();
  const machine = machineFacts();
  const about = Math.ceil(bench.contenders * (options.rounds * options.seconds + 3)) + 3;
  console.log(
    `${chosen}: ${options.rounds} rounds of ${bench.contenders} times ${options.seconds} s; about ${about} s ...`,
  );
  const result = await bench.measure(options);
  const file = save(`bench-${chosen}`, { bench: chosen, options, machine, ...result });
  const ratio = result.standings[0]?.ratio.median ?? 0;
  const lines = [
    "",
    ...standingLines(result.standings),
    "",
    ...(options.depth === 1
      ? [`Target ratio ${bench.aim.toFixed(2)}: ${ratio >= bench.aim ? "met" : "not met"}.`]
      : []),
    machineLine(machine, result.pinned),
    `All samples: ${file}`,
  ];
  for (const line of lines) console.log(line);
  if (atLeast === null || ratio >= atLeast) return 0;
  console.error(`The median ratio ${ratio.toFixed(3)} is below ${atLeast}.`);
  return 1;
}

/** Null if the arguments are invalid. */
function readPlan(): Plan | null {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: {
        pairs: { type: "string", default: "11" },
        seconds: { type: "string", default: "1.5" },
        sockets: { type: "string" },
        depth: { type: "string", default: "1" },
        clients: { type: "string", default: "1" },
        "at-least": { type: "string" },
      },
    });
    const [name = ""] = positionals;
    const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
    if (positionals.length !== 1 || bench === undefined) return null;
    const atLeast = values["at-least"];
    return {
      name,
      bench,
      rounds: positive("pairs", values.pairs, true),
      seconds: positive("seconds", values.seconds, false),
      sockets: positive("sockets", values.sockets ?? String(bench.sockets), true),
      depth: positive("depth", values.depth, true),
      clients: positive("clients", values.clients, true),
      atLeast: atLeast === undefined ? null : positive("at-least", atLeast, false),
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n`);
    return null;
  }
}

function positive(name: string, text: string, whole: boolean): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0 && (!whole || Number.isSafeInteger(value))) return value;
  const kind = whole ? "whole number" : "number";
  throw new RangeError(`--${name} must be a positive ${kind}, not ${JSON.stringify(text)}.`);
}

function save(name: string, result: object): string {
  const folder = join(root, "test-results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  return join("test-results", `${name}.json`);
}

function standingLines(standings: readonly Standing[]): string[] {
  const whole = (rate: number): string => Math.round(rate).toLocaleString("en");
  const rows = standings.map(({ name, rate, ratio, coreUsed }) => [
    name,
    whole(rate.median),
    whole(rate.least),
    whole(rate.most),
    (1e6 / rate.median).toFixed(2),
    `${Math.round(coreUsed * 100)} %`,
    ratio.median.toFixed(3),
    ratio.least.toFixed(3),
    ratio.most.toFixed(3),
  ]);
  const head = ["per CPU second", "median", "min", "max", "µs each", "core used", "ratio", "min", "max"];
  return tableLines([head, ...rows]);
}

function machineLine(machine: MachineFacts, pinned: boolean): string {
  const { cpu, cores, memoryGiB, system, node, loadAtStart } = machine;
  const where = pinned ? "servers and clients pinned to separate cores" : "no process pinned";
  return (
    `${cpu}, ${cores} cores, ${memoryGiB} GiB; ${system}; Node.js ${node}; load ${loadAtStart} at the start; ` +
    `${where}; loopback, no TLS.`
  );
}
