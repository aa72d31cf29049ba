import { repeatToBytes } from "../../../src/providers/echo/echo-answer.ts";
import { startService, type Service } from "../../support/service.ts";
import { startTcpProxy, type TcpProxy } from "../../support/tcp-proxy.ts";
import { seededRandom, wholeBetween, type Random } from "../../bench/engine/load/random.ts";
import { DrivenClient, newWireCount, type Outcome } from "./driven-client.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import { loggedErrors } from "./server-figures.ts";

/** Answers that are generated token by token. */
const PACED = { AI_PROVIDER: "echo", ECHO_TOKEN_MS: "10" };
const LARGE_BYTES = 262_144;
/** Answers that are generated faster than any connection accepts them. */
const LARGE = {
  AI_PROVIDER: "echo",
  ECHO_ANSWER_BYTES: String(LARGE_BYTES),
  MAX_OUTPUT_TOKENS: "200000",
};

/** Kinds of connections. `bytesPerSecond` limits the reader; 0 is unlimited. */
const LINES = [
  { kind: "paced, fast", settings: PACED, bytesPerSecond: 0 },
  { kind: "paced, slow", settings: PACED, bytesPerSecond: 6_000 },
  { kind: "large, fast", settings: LARGE, bytesPerSecond: 600_000 },
  { kind: "large, slow", settings: LARGE, bytesPerSecond: 100_000 },
] as const;

/** Longest wait for the end of an answer, in milliseconds. */
const ANSWER_WAIT_MS = 120_000;

interface Tally {
  readonly outcomes: { [kind: string]: number };
  readonly wrong: string[];
  answers: number;
  cutAnswers: number;
}

/** Cuts connections in mid-answer at random times and byte counts, and compares every text with the expected one. */
export const cuts: LoadProgram = {
  summary:
    "cuts connections of fast and slow readers in the middle of answers; each client resumes by itself",
  options: {
    cuts: { default: 1_000, doc: "total number of cuts" },
    clients: { default: 40, doc: "clients, a quarter of them on each kind of connection" },
    seconds: { default: 300, doc: "longest time of the run" },
    seed: { default: 1, doc: "seed of texts, times and kinds of cuts" },
  },
  async run({ cuts: wanted = 0, clients = 0, seconds = 0, seed = 0 }) {
    const services = new Map<object, Service>();
    for (const settings of [PACED, LARGE]) services.set(settings, await startService(settings));
    const count = newWireCount();
    const tally: Tally = { outcomes: {}, wrong: [], answers: 0, cutAnswers: 0 };
    const deadline = performance.now() + seconds * 1000;
    const continues = (): boolean => count.cuts < wanted && performance.now() < deadline;
    try {
      await Promise.all(
        Array.from({ length: clients }, async (_, index) => {
          const line = LINES[index % LINES.length] as (typeof LINES)[number];
          const { port } = services.get(line.settings) as Service;
          const proxy = await startTcpProxy(port, { bytesPerSecond: line.bytesPerSecond });
          const random = seededRandom(seed * 100_003 + index);
          const large = line.settings === LARGE;
          await driveOne({ proxy, random, large, count, tally, continues, name: line.kind });
          await proxy.close();
        }),
      );
      const errors = [...services.values()].flatMap(loggedErrors);
      return results(wanted, count, tally, errors.length);
    } finally {
      for (const service of services.values()) await service.stop();
    }
  },
};

interface DriveOptions {
  readonly proxy: TcpProxy;
  readonly random: Random;
  readonly large: boolean;
  readonly count: ReturnType<typeof newWireCount>;
  readonly tally: Tally;
  readonly name: string;
  continues(): boolean;
}

async function driveOne({
  proxy,
  random,
  large,
  count,
  tally,
  continues,
  name,
}: DriveOptions): Promise<void> {
  let planned: TcpProxy["lines"][number] | undefined;
  const driven = new DrivenClient({
    url: `ws://127.0.0.1:${proxy.port}/ws/chat`,
    random,
    count,
    // After the first text on a connection, its cut is planned at random: by time or by byte count.
    onToken() {
      const line = proxy.lines.at(-1);
      if (line === undefined || line === planned || !continues()) return;
      planned = line;
      const kind = random() < 0.5 ? "rst" : "fin";
      if (random() < 0.5) setTimeout(() => line.cut(kind), random() * 400);
      else cutAfter(proxy, line.bytesDown + wholeBetween(random, 1, large ? 60_000 : 4_000), kind);
    },
  });
  driven.client.subscribe((event) => {
    // A byte count planned for a closed connection must not cut the next one before its first text.
    if (event.type === "state" && event.state.phase === "connecting") proxy.faults.cutAfterBytes = 0;
  });
  driven.client.connect();
  for (let turn = 0; continues(); turn++) {
    const before = count.cuts;
    const text = textOf(random, large ? 40 : 300);
    const outcome = await driven.ask(text, `c${turn % 3}`, ANSWER_WAIT_MS).ended;
    tally.answers++;
    if (count.cuts > before) tally.cutAnswers++;
    note(tally, name, outcome, large ? repeatToBytes(text, LARGE_BYTES, LARGE_BYTES) : text);
  }
  driven.leave(true);
}

function cutAfter(proxy: TcpProxy, bytes: number, kind: "rst" | "fin"): void {
  proxy.faults.cutKind = kind;
  proxy.faults.cutAfterBytes = bytes;
}

const WORDS = ["Grüße", "aus", "東京", "🙂", "the", "quick", "“brown”", "fox\n", 'says "no"', "\\", "👩‍👩‍👧"];

/** About `words` words with characters of one to four bytes. */
function textOf(random: Random, words: number): string {
  const drawn = Array.from({ length: words }, () => WORDS[wholeBetween(random, 0, WORDS.length - 1)]);
  return `${wholeBetween(random, 0, 1_000_000)} ${drawn.join(" ")}`;
}

function note(
  tally: Tally,
  name: string,
  { end, reason, streamed, content }: Outcome,
  expected: string,
): void {
  const key = `${end} ${reason}`.trim();
  tally.outcomes[key] = (tally.outcomes[key] ?? 0) + 1;
  if (end !== "answer") return;
  if (content !== expected) tally.wrong.push(`${name}: the text of the closing frame differs`);
  else if (streamed !== expected) {
    tally.wrong.push(`${name}: ${streamed.length} of ${expected.length} characters were streamed`);
  }
}

function results(
  wanted: number,
  count: ReturnType<typeof newWireCount>,
  tally: Tally,
  errors: number,
): Bar[] {
  const { outcomes, wrong, answers, cutAnswers } = tally;
  for (const line of wrong.slice(0, 5)) console.error(line);
  console.log(
    `${answers} answers, ${cutAnswers} of them cut; ${count.bytes} bytes of text; ${JSON.stringify(outcomes)}`,
  );
  const whole = outcomes["answer stop"] ?? 0;
  return [
    bar("cuts in mid-answer", String(count.cuts), `>= ${wanted}`, count.cuts >= wanted),
    none("bytes lost on the wire", count.lost),
    none("bytes sent twice on the wire", count.twice),
    none("texts that differ", wrong.length),
    none("answers without their end", answers - whole),
    none("errors in the service's log", errors),
  ];
}
