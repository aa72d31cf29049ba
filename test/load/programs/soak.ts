import { seededRandom, wholeBetween, type Random } from "../../bench/engine/load/random.ts";
import { startService, type Service } from "../../support/service.ts";
import { roomForSockets } from "../socket-room.ts";
import { DrivenClient, newWireCount, type WireCount } from "./driven-client.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import {
  loggedErrors,
  inMib,
  MIB,
  readFigures,
  slopePerMinute,
  type ServerFigures,
} from "./server-figures.ts";

const RETENTION_SECONDS = 20;
/** A message without an end after this many milliseconds counts as stuck. */
const STUCK_MS = 60_000;
/** Share of the run for warm-up, in which caches and heaps reach their size. */
const WARM_UP_SHARE = 0.4;
/** Allowed growth over the rest of the run, as a share of the typical memory, for garbage not yet collected. */
const NOISE_SHARE = 0.1;
/** Longest pause of a client between two actions. */
const THINK_MS = 8_000;

interface Soak {
  readonly url: string;
  readonly count: WireCount;
  /** Number of actions, and of messages by their end. */
  readonly tally: Map<string, number>;
  readonly wrong: string[];
  over: boolean;
}

/** Clients perform all kinds of actions at random for a long time. At the end nothing of them may be left. */
export const soak: LoadProgram = {
  summary:
    "clients connect, chat, cancel, cut, resume and leave at random; checks that nothing is left of them",
  options: {
    seconds: { default: 600, doc: "seconds of load; the end takes about a minute more" },
    sockets: { default: 2_000, doc: "clients" },
    seed: { default: 1, doc: "seed of the clients' actions" },
  },
  async run({ seconds = 0, sockets = 0, seed = 0 }) {
    const problem = roomForSockets(sockets);
    if (problem !== null) throw new Error(problem);
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "50",
      MAX_CONNECTIONS: String(sockets * 2),
      SESSION_RETENTION_SECONDS: String(RETENTION_SECONDS),
      ANSWER_RETENTION_SECONDS: String(RETENTION_SECONDS),
    });
    try {
      return await drive(service, { seconds, sockets, seed });
    } finally {
      await service.stop();
    }
  },
};

async function drive(
  service: Service,
  { seconds, sockets, seed }: { seconds: number; sockets: number; seed: number },
): Promise<Bar[]> {
  const run: Soak = {
    url: `${service.url}/ws/chat`,
    count: newWireCount(),
    tally: new Map(),
    wrong: [],
    over: false,
  };
  const first = await readFigures(service);
  const clients = Array.from({ length: sockets }, (_, index) =>
    runClient(run, seededRandom(seed * 100_003 + index)),
  );
  const samples = await watch(service, seconds);
  run.over = true;
  await Promise.all(clients);
  const { left, waited } = await settleDown(service);
  const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const slope = slopePerMinute(warm);
  const minutes = ((warm.at(-1)?.at ?? 0) - (warm[0]?.at ?? 0)) / 60_000 || 0;
  const typical = warm.map(({ rss }) => rss).toSorted((a, b) => a - b)[warm.length >> 1] ?? 0;
  const allowed = Math.max(16 * MIB, NOISE_SHARE * typical);
  printFigures(run, first, samples, waited);
  const { count, tally, wrong } = run;
  const of = (key: string): number => tally.get(key) ?? 0;
  return [
    bar(
      "memory growth after the warm-up",
      `${inMib(slope * minutes)} (${inMib(slope)} per minute)`,
      `<= ${inMib(allowed)}`,
      slope * minutes <= allowed,
    ),
    none("messages without an end (stuck)", of("stuck")),
    none("messages that failed", of("failed")),
    none("texts that differ", wrong.length),
    none("bytes lost on the wire", count.lost),
    none("bytes sent twice on the wire", count.twice),
    bar("gauges that did not return to zero", left.join(", ") || "none", "none", left.length === 0),
    none("errors in the service's log", loggedErrors(service).length),
  ];
}

/** Samples the metrics until the time is over. */
async function watch(service: Service, seconds: number): Promise<ServerFigures[]> {
  const samples: ServerFigures[] = [];
  const end = performance.now() + seconds * 1000;
  const every = Math.max(250, Math.min(5_000, (seconds * 1000) / 60));
  while (performance.now() < end) {
    await pause(every);
    samples.push(await readFigures(service));
  }
  return samples;
}

/** Waits until every gauge is zero, at most for twice the retention plus 30 s for abandoned answers. */
async function settleDown(service: Service): Promise<{ left: string[]; waited: number }> {
  const begin = performance.now();
  for (;;) {
    const { gauges } = await readFigures(service);
    const left = [...gauges].filter(([, value]) => value !== 0).map(([name, value]) => `${name} ${value}`);
    const waited = performance.now() - begin;
    if (left.length === 0 || waited > (2 * RETENTION_SECONDS + 30) * 1000) return { left, waited };
    await pause(1_000);
  }
}

/** One client from its first connection to its last. */
async function runClient(run: Soak, random: Random): Promise<void> {
  const driven = new DrivenClient({ url: run.url, random, count: run.count });
  // Clients do not connect all at once, since that is covered by another test.
  await pause(random() * Math.min(THINK_MS, 5_000));
  driven.client.connect();
  while (!run.over) {
    const draw = random();
    if (draw < 0.55) await chat(run, driven, random, 0);
    else if (draw < 0.7) await chat(run, driven, random, wholeBetween(random, 1, 3));
    else if (draw < 0.82) await cancel(run, driven, random);
    else if (draw < 0.9) await command(run, driven);
    else await leave(run, driven, random);
    await pauseUntilOver(run, random() * THINK_MS);
  }
  driven.leave(true);
}

/** Sends a message and cuts the connection `cuts` times while its answer is streamed. */
async function chat(run: Soak, driven: DrivenClient, random: Random, cuts: number): Promise<void> {
  const text = words(random);
  const { id, ended } = driven.ask(text, conversation(random), STUCK_MS);
  for (let cut = 0; cut < cuts; cut++) {
    await pause(100 + random() * 700);
    if (driven.client.isPending(id)) driven.cut();
  }
  const { end, reason, streamed, content } = await ended;
  add(run, end === "failed" ? `failed ${reason}` : `${end} ${reason}`, end);
  if (end === "answer" && (content !== text || streamed !== text)) run.wrong.push(text);
}

async function cancel(run: Soak, driven: DrivenClient, random: Random): Promise<void> {
  const text = words(random);
  const { id, ended } = driven.ask(text, conversation(random), STUCK_MS);
  await pause(random() * 1_000);
  driven.client.cancel(id);
  const { end, reason, streamed, content } = await ended;
  add(run, `${end} ${reason}`, end);
  const partly = content !== undefined && (!text.startsWith(content) || streamed !== content);
  if (end === "answer" && partly) run.wrong.push(text);
}

async function command(run: Soak, driven: DrivenClient): Promise<void> {
  for (const text of ['/setcontext text="I like rain."', "/getcontext", "/clearcontext"]) {
    const { end, reason } = await driven.ask(text, "commands", STUCK_MS).ended;
    add(run, `${end} ${reason}`, end);
  }
}

/** Disconnects for up to twice the retention, half of the time in the middle of an answer. */
async function leave(run: Soak, driven: DrivenClient, random: Random): Promise<void> {
  if (random() < 0.5) {
    driven.ask(words(random), conversation(random), STUCK_MS);
    await pause(random() * 500);
  }
  driven.leave(random() < 0.5);
  add(run, "left");
  await pauseUntilOver(run, random() * 2 * RETENTION_SECONDS * 1000);
  if (!run.over) driven.client.connect();
}

function add({ tally }: Soak, ...keys: string[]): void {
  for (const key of keys) tally.set(key, (tally.get(key) ?? 0) + 1);
}

const conversation = (random: Random): string => `c${wholeBetween(random, 1, 5)}`;

/** A text of 5 to 60 tokens of the echo provider. */
function words(random: Random): string {
  const count = wholeBetween(random, 4, 40);
  return Array.from({ length: count }, (_, index) => (index % 7 === 0 ? "Grüße" : `w${index}`)).join(" ");
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Pauses for `ms` milliseconds, or until the run is over. */
async function pauseUntilOver(run: Soak, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!run.over && performance.now() < end) await pause(Math.min(500, end - performance.now()));
}

function printFigures(
  run: Soak,
  first: ServerFigures,
  samples: readonly ServerFigures[],
  waited: number,
): void {
  const highest = (name: string): number => Math.max(...samples.map(({ gauges }) => gauges.get(name) ?? 0));
  console.log(
    `maximum at a time: ${highest("connections")} sockets, ${highest("sessions")} sessions, ${highest("answers_running")} answers`,
  );
  const tally = [...run.tally].map(([key, count]) => `${key}: ${count}`).join(", ");
  console.log(`${tally}; lines cut in mid-answer: ${run.count.cuts}`);
  const memory = samples.filter((_, index) => index % Math.ceil(samples.length / 8) === 0);
  console.log(`memory: ${inMib(first.rss)} at first, then ${memory.map(({ rss }) => inMib(rss)).join(", ")}`);
  console.log(`settled ${(waited / 1000).toFixed(0)} s after the last client left`);
}
