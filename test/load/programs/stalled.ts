import { repeatToBytes } from "../../../src/providers/echo/echo-answer.ts";
import { MAX_TOKEN_TEXT_BYTES } from "../../../src/session/delivery/cursor.ts";
import { softLimitBytes } from "../../../src/transport/uws/uws-transport.ts";
import { percentile } from "../../bench/harness/statistics.ts";
import { startService, type Service } from "../../support/service.ts";
import { roomForSockets } from "../socket-room.ts";
import { PlainReader, sha256, type ReadAnswer } from "./plain-reader.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import { loggedErrors, inMib, MIB, readFigures, type ServerFigures } from "./server-figures.ts";

/** Much longer than the stall: a reader that resumes earlier loses nothing. */
const ABANDON_SECONDS = 300;
/** Milliseconds between tokens of paced answers. */
const TOKEN_MS = 50;
/** MAX_UNACKED_BYTES of the service. */
const UNACKED_BYTES = 1_024;
/** Readers that resume together. Limited, because an answer of 8 MB costs this process a multiple of that memory. */
const RESUME_GROUP = 25;
/** Longest wait for the answers of resumed readers. Far more than a group or a whole paced answer needs. */
const RESUME_MS = 90_000;
/** Longest `token` frame: JSON escapes one byte as at most six, and 512 bytes allow for the other fields. */
const MAX_TOKEN_FRAME = 6 * MAX_TOKEN_TEXT_BYTES + 512;
/** Characters of three bytes, so that a token of the echo provider has twelve bytes. */
const TEXT = "東京の雨は静かに降る。";

interface Plan {
  readonly stalled: number;
  readonly healthy: number;
  readonly seconds: number;
  /** Bytes per answer of the stalled readers. */
  readonly bytes: number;
  /** Whether the stalled readers send `ack`. If not, the service detects the stall only by the full socket. */
  readonly acks: boolean;
}

/** Readers that stop, beside readers that continue. */
export const stalled: LoadProgram = {
  summary:
    "readers that stop, beside readers that continue; first with acks, then with large answers and no acks",
  options: {
    stalled: { default: 500, doc: "readers that stop" },
    healthy: { default: 500, doc: "readers that continue" },
    seconds: { default: 15, doc: "seconds of each measurement" },
    megabytes: { default: 8, doc: "size of each unacknowledged answer in MiB" },
    parts: { default: 3, doc: "parts to run: 1 with acks, 2 large answers, 3 both" },
  },
  async run({ stalled: stops = 0, healthy = 0, seconds = 0, megabytes = 0, parts = 3 }) {
    const problem = roomForSockets(stops + healthy);
    if (problem !== null) throw new Error(problem);
    const bars: Bar[] = [];
    const plan = { stalled: stops, healthy, seconds };
    if ((parts & 1) !== 0) {
      // Enough text for the whole part at the pace of the tokens, and many times the credit of a stalled reader.
      const bytes = Math.ceil(((seconds * 2 + 20) * 1000 * 12) / TOKEN_MS);
      bars.push(...(await runPart("acks", { ...plan, bytes, acks: true })));
    }
    if ((parts & 2) !== 0) {
      bars.push(...(await runPart("large", { ...plan, bytes: megabytes * MIB, acks: false })));
    }
    return bars;
  },
};

async function runPart(name: string, plan: Plan): Promise<Bar[]> {
  const maxAnswerBytes = Math.max(plan.bytes, MIB);
  const logsMib = Math.ceil((plan.stalled * plan.bytes) / MIB);
  const service = await startService({
    AI_PROVIDER: "echo",
    ECHO_TOKEN_MS: plan.acks ? String(TOKEN_MS) : "0",
    ECHO_ANSWER_BYTES: String(plan.bytes),
    MAX_ANSWER_BYTES: String(maxAnswerBytes),
    MAX_OUTPUT_TOKENS: "1048576",
    MAX_UNACKED_BYTES: String(UNACKED_BYTES),
    MAX_CONNECTIONS: String(plan.stalled + plan.healthy + 10),
    ANSWER_BUDGET_MB: String(256 + 2 * logsMib),
    MAX_BUFFERED_MB: "1048576",
    ABANDON_SECONDS: String(ABANDON_SECONDS),
    // The logs of all stalled readers are in the heap.
    NODE_OPTIONS: `--max-old-space-size=${2_048 + 2 * logsMib}`,
  });
  try {
    return await measure(name, service, plan, softLimitBytes(maxAnswerBytes));
  } finally {
    await service.stop();
  }
}

async function measure(name: string, service: Service, plan: Plan, softLimit: number): Promise<Bar[]> {
  const healthy = new HealthyReaders(plan);
  await healthy.open(service);
  await pause(2_000);
  const alone = await healthy.gapsOf(plan.seconds);
  const before = await readFigures(service);
  const stalls = await startStalled(service, plan);
  await logsComplete(service, plan);
  const beside = await healthy.gapsOf(plan.seconds);
  const during = await readFigures(service);
  const wrong = await resumeAll(stalls, plan);
  const lost = await healthy.stop();
  return results(name, plan, softLimit, { alone, beside, before, during, wrong, lost, service });
}

/** Readers that continue: with paced answers one after the other, or with short answers at a steady pace. */
class HealthyReaders {
  readonly #plan: Plan;
  readonly #readers: PlainReader[] = [];
  readonly #loops: Promise<void>[] = [];
  #over = false;
  #wrong = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  async open(service: Service): Promise<void> {
    this.#readers.push(...(await openReaders(service, this.#plan.healthy)));
    for (const [index, reader] of this.#readers.entries()) this.#loops.push(this.#read(reader, index));
  }

  /** Gaps in milliseconds between pieces of text of all readers, measured for `seconds`. */
  async gapsOf(seconds: number): Promise<number[]> {
    for (const reader of this.#readers) reader.measures = true;
    await pause(seconds * 1000);
    for (const reader of this.#readers) reader.measures = false;
    return this.#readers.flatMap(({ gaps }) => gaps.splice(0));
  }

  /** Stops all readers. @returns how many texts were wrong or did not arrive */
  async stop(): Promise<number> {
    this.#over = true;
    if (this.#plan.acks) for (const reader of this.#readers) reader.close();
    await Promise.all(this.#loops);
    for (const reader of this.#readers) reader.close();
    return this.#wrong;
  }

  async #read(reader: PlainReader, index: number): Promise<void> {
    const message = `${TEXT}${index} `;
    const tokens = this.#plan.acks ? 400 : 8;
    const expected = sha256(repeatToBytes(message, this.#plan.bytes, tokens * 4).slice(0, tokens * 4));
    await pause(Math.random() * 1000);
    let due = performance.now();
    try {
      while (!this.#over) {
        const { streamedHash, contentHash } = await reader.ask(message, { max_tokens: tokens });
        if (streamedHash !== expected || contentHash !== expected) this.#wrong++;
        if (this.#plan.acks) continue;
        due += 2 * TOKEN_MS;
        await pause(Math.max(0, due - performance.now()));
      }
    } catch {
      if (!this.#over) this.#wrong++;
    }
  }
}

interface Stall {
  readonly reader: PlainReader;
  readonly message: string;
  readonly answer: Promise<ReadAnswer | Error>;
}

async function startStalled(service: Service, plan: Plan): Promise<Stall[]> {
  const readers = await openReaders(service, plan.stalled);
  const stalls = readers.map((reader, index) => {
    // At least eight bytes per token. With shorter tokens, MAX_OUTPUT_TOKENS would cut the answer.
    const message = `${TEXT}${TEXT}stalled ${index} `;
    // Without acks it never reads a byte. With acks it has to receive some text first, to have something to
    // acknowledge.
    if (!plan.acks) reader.stall();
    const answer = reader.ask(message).catch((error: unknown) => error as Error);
    return { reader, message, answer };
  });
  if (!plan.acks) return stalls;
  while (readers.some(({ at }) => at === 0)) await pause(50);
  for (const reader of readers) {
    reader.acknowledge();
    reader.stall();
  }
  return stalls;
}

/** Waits until the large answers are generated, so that only the stall is measured. */
async function logsComplete(service: Service, { acks, stalled: count, bytes }: Plan): Promise<void> {
  const end = performance.now() + 120_000;
  while (!acks && performance.now() < end) {
    const { gauges } = await readFigures(service);
    if ((gauges.get("answer_log_bytes") ?? 0) >= count * bytes) break;
    await pause(500);
  }
  // Give the process time to collect the garbage of the generation.
  await pause(acks ? (UNACKED_BYTES / 12) * TOKEN_MS : 3_000);
}

/** Resumes the readers in groups. @returns a description of each wrong answer */
async function resumeAll(stalls: readonly Stall[], plan: Plan): Promise<string[]> {
  const wrong: string[] = [];
  const group = plan.acks ? stalls.length : RESUME_GROUP;
  for (let first = 0; first < stalls.length; first += group) {
    const resumed = stalls.slice(first, first + group);
    for (const { reader } of resumed) {
      reader.resumeReading();
      if (plan.acks) reader.acknowledge();
    }
    const deadline = new Promise<Error>((resolve) => {
      setTimeout(() => resolve(new Error("no end in time after resuming")), RESUME_MS).unref();
    });
    for (const { reader, message, answer } of resumed) {
      const read = await Promise.race([answer, deadline]);
      reader.close();
      const fault = faultOf(read, message, plan.bytes);
      if (fault !== null) wrong.push(fault);
    }
  }
  return wrong;
}

function faultOf(read: ReadAnswer | Error, message: string, bytes: number): string | null {
  if (read instanceof Error) return read.message;
  const expected = sha256(repeatToBytes(message, bytes, bytes));
  if (read.reason !== "stop") return `ended with ${read.reason}`;
  if (read.contentHash !== expected) return "the text of the closing frame differs";
  return read.streamedHash === expected ? null : `the streamed text differs (${read.bytes} bytes)`;
}

interface Measured {
  readonly alone: readonly number[];
  readonly beside: readonly number[];
  readonly before: ServerFigures;
  readonly during: ServerFigures;
  readonly wrong: readonly string[];
  readonly lost: number;
  readonly service: Service;
}

function results(name: string, plan: Plan, softLimit: number, measured: Measured): Bar[] {
  const { alone, beside, before, during, wrong, lost, service } = measured;
  for (const line of wrong.slice(0, 5)) console.error(`${name}: ${line}`);
  // A complete answer is also in the history of its conversation, which has a separate limit.
  const logBytes = ({ gauges }: ServerFigures): number =>
    (gauges.get("answer_log_bytes") ?? 0) + (gauges.get("history_bytes") ?? 0);
  const logs = logBytes(during) - logBytes(before);
  const growth = during.rss - before.rss - logs;
  const allowed = plan.stalled * (softLimit + MAX_TOKEN_FRAME);
  const p99 = { alone: percentile(alone, 0.99), beside: percentile(beside, 0.99) };
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  console.log(
    `${name}: ${plan.stalled} stalled beside ${plan.healthy}; memory ${inMib(before.rss)}, then ${inMib(during.rss)}, including ` +
      `${inMib(logs)} of logs and histories; beyond them ${(growth / plan.stalled / 1024).toFixed(1)} KiB per stalled reader; ` +
      `gaps p50 ${ms(percentile(alone, 0.5))}, then ${ms(percentile(beside, 0.5))}`,
  );
  return [
    bar(`${name}: memory beyond the logs`, inMib(growth), `<= ${inMib(allowed)}`, growth <= allowed),
    bar(
      `${name}: p99 gap of the healthy readers`,
      `${ms(p99.beside)}, ${ms(p99.alone)} without stalls`,
      "<= 1.25 times",
      p99.beside <= 1.25 * p99.alone,
    ),
    none(`${name}: texts of stalled readers that differ (SHA-256)`, wrong.length),
    none(`${name}: texts of healthy readers that differ`, lost),
    none(`${name}: errors in the service's log`, loggedErrors(service).length),
  ];
}

async function openReaders(service: Service, count: number): Promise<PlainReader[]> {
  const readers: PlainReader[] = [];
  while (readers.length < count) {
    const group = Math.min(100, count - readers.length);
    readers.push(
      ...(await Promise.all(Array.from({ length: group }, () => PlainReader.open(`${service.url}/ws/chat`)))),
    );
  }
  return readers;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
