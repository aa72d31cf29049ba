import { setTimeout as pause } from "node:timers/promises";
import { residentBytes } from "../../bench/harness/resident-memory.ts";
import { percentile } from "../../bench/harness/statistics.ts";
import { startService } from "../../support/service.ts";
import { roomForSockets } from "../socket-room.ts";
import { LoadSocket, openAll, type LoadFrame } from "./load-socket.ts";
import { bar, type Bar, type LoadProgram } from "./program.ts";
import { MIB } from "./server-figures.ts";
import { messageOf, tally } from "./report.ts";

const SLOTS = 64;
/** Milliseconds between tokens. */
const TOKEN_MS = 50;
/** Tokens per answer. */
const TOKENS = 10;
/** Length of the queue, equal to the slots, so that an accepted request waits about as long as an answer takes. */
const QUEUE = 64;
/** Answers per second that the provider can give. */
const CAPACITY = (SLOTS * 1000) / (TOKENS * TOKEN_MS);
/** Messages offered, as a multiple of the capacity. */
const OVERLOAD = 2;
/** Connection attempts per second while the server is full. */
const ATTEMPTS_PER_SECOND = 20;

/** Length of the measurement of the peak rate. */
const PEAK_SECONDS = 10;
/** Time until the code is compiled and the heap has reached its size. */
const WARM_UP_SECONDS = 15;
const TICK_MS = 5;

const message = messageOf(TOKENS, "overload");

/** Outcomes of all messages and connection attempts. */
class Tally {
  answers = 0;
  readonly refusalMs: number[] = [];
  readonly rejectedAfterMs: number[] = [];
  readonly unexpected: string[] = [];
  readonly closes: number[] = [];
}

/** A socket that sends one message at a time. */
class Sender {
  readonly socket: LoadSocket;
  readonly #idle: Sender[];
  #askedAt = 0;
  tally = new Tally();

  constructor(url: string, idle: Sender[]) {
    this.#idle = idle;
    this.socket = new LoadSocket({
      url,
      frame: (frame) => this.#take(frame),
      closed: (code) => this.tally.closes.push(code),
    });
  }

  ask(into: Tally): void {
    this.tally = into;
    this.#askedAt = performance.now();
    this.socket.send({ message });
  }

  #take(frame: LoadFrame): void {
    if (frame.type === "message") {
      if (frame.content === message && frame.finish_reason === "stop") this.tally.answers++;
      else this.tally.unexpected.push(`wrong answer: ${frame.finish_reason}`);
    } else if (frame.type === "error") {
      if (frame.code === "overloaded") this.tally.refusalMs.push(performance.now() - this.#askedAt);
      else this.tally.unexpected.push(`error ${frame.code}`);
    } else {
      return;
    }
    this.#idle.push(this);
  }
}

/** Offers twice the load that a provider with a fixed number of slots can serve. */
export const overload: LoadProgram = {
  summary:
    "twice the load that a provider with 64 slots can serve, and connection attempts to the full server",
  options: {
    seconds: { default: 60, doc: "seconds of overload, after about 30 s of preparation" },
    sockets: { default: 600, doc: "sockets that send messages" },
  },
  run({ seconds = 0, sockets = 0 }) {
    const problem = roomForSockets(sockets);
    if (problem !== null) throw new Error(problem);
    return drive(seconds, sockets);
  },
};

async function drive(seconds: number, sockets: number): Promise<Bar[]> {
  const service = await startService({
    AI_PROVIDER: "echo",
    ECHO_SLOTS: String(SLOTS),
    ECHO_TOKEN_MS: String(TOKEN_MS),
    LOCAL_QUEUE_LIMIT: String(QUEUE),
    MAX_CONNECTIONS: String(sockets),
    ANSWER_RETENTION_SECONDS: "5",
  });
  const url = `${service.url}/ws/chat`;
  try {
    const idle: Sender[] = [];
    const senders: Sender[] = [];
    await openAll(sockets, () => {
      const sender = new Sender(url, idle);
      senders.push(sender);
      return sender.socket;
    });
    idle.push(...senders);
    const peak = await saturate(idle, PEAK_SECONDS);
    await offer(url, idle, WARM_UP_SECONDS, new Tally());
    const memory = sampleMemory(service.pid);
    const tally = new Tally();
    const goodput = await offer(url, idle, seconds, tally);
    const rss = memory();
    for (const { socket } of senders) socket.cut();
    return report({ peak, goodput, tally, rss });
  } finally {
    const { code } = await service.stop();
    if (code !== 0) console.error(`the service exited with code ${code}`);
  }
}

/** Keeps every slot busy and some requests waiting. @returns answers per second */
async function saturate(idle: Sender[], seconds: number): Promise<number> {
  const tally = new Tally();
  const atOnce = SLOTS + QUEUE / 2;
  let asked = 0;
  const fill = (): void => {
    while (asked - tally.answers < atOnce) {
      const sender = idle.shift();
      if (sender === undefined) return;
      sender.ask(tally);
      asked++;
    }
  };
  const timer = setInterval(fill, TICK_MS);
  await pause(2000);
  const before = tally.answers;
  await pause(seconds * 1000);
  const rate = (tally.answers - before) / seconds;
  clearInterval(timer);
  await pause(2000);
  return rate;
}

/** Sends messages at twice the capacity and tries to connect to the full server. @returns answers per second */
async function offer(url: string, idle: Sender[], seconds: number, tally: Tally): Promise<number> {
  const startedAt = performance.now();
  let asked = 0;
  let attempted = 0;
  const timer = setInterval(() => {
    const elapsed = (performance.now() - startedAt) / 1000;
    while (asked < elapsed * CAPACITY * OVERLOAD) {
      asked++;
      const sender = idle.shift();
      if (sender === undefined) tally.unexpected.push("no socket was idle");
      else sender.ask(tally);
    }
    while (attempted < elapsed * ATTEMPTS_PER_SECOND) {
      attempted++;
      tryToConnect(url, tally);
    }
  }, TICK_MS);
  await pause(2000);
  const before = tally.answers;
  const from = performance.now();
  await pause((seconds - 2) * 1000);
  const rate = ((tally.answers - before) * 1000) / (performance.now() - from);
  clearInterval(timer);
  await pause(2000);
  return rate;
}

function tryToConnect(url: string, tally: Tally): void {
  new LoadSocket({
    url,
    closed(code, _reason, afterMs) {
      tally.closes.push(code);
      tally.rejectedAfterMs.push(afterMs);
    },
  });
}

/** Samples a process's memory each second. The returned function stops sampling and returns the samples in MiB. */
function sampleMemory(pid: number): () => number[] {
  const samples: number[] = [];
  const timer = setInterval(() => {
    samples.push(residentBytes(pid) / MIB);
  }, 1000);
  return () => {
    clearInterval(timer);
    return samples;
  };
}

interface OverloadResult {
  readonly peak: number;
  readonly goodput: number;
  readonly tally: Tally;
  readonly rss: readonly number[];
}

/** Normal variation of a heap, in MiB. */
const FLAT_MIB = 16;

function report({ peak, goodput, tally: seen, rss }: OverloadResult): Bar[] {
  const third = Math.max(1, Math.floor(rss.length / 3));
  const early = percentile(rss.slice(0, third), 0.5);
  const late = percentile(rss.slice(-third), 0.5);
  const refusedP99 = percentile(seen.refusalMs, 0.99);
  const rejectedP99 = percentile(seen.rejectedAfterMs, 0.99);
  console.log(
    `capacity ${CAPACITY}/s in theory, peak ${peak.toFixed(1)}/s; offered ${CAPACITY * OVERLOAD}/s`,
  );
  console.log(
    `${seen.answers} answers, ${seen.refusalMs.length} refused (p50 ${percentile(seen.refusalMs, 0.5).toFixed(1)} ms), ` +
      `${seen.rejectedAfterMs.length} connections rejected (p50 ${percentile(seen.rejectedAfterMs, 0.5).toFixed(1)} ms)`,
  );
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const share = goodput / peak;
  return [
    bar(
      "goodput as a share of the peak",
      `${(share * 100).toFixed(1)} % (${goodput.toFixed(1)}/s)`,
      "≥ 95 %",
      share >= 0.95,
    ),
    bar("`overloaded` p99", ms(refusedP99), "< 10 ms", refusedP99 < 10),
    bar("1013 p99, from connect", ms(rejectedP99), "< 10 ms", rejectedP99 < 10),
    bar(
      "close codes",
      tally(seen.closes),
      "1013 only",
      seen.closes.length > 0 && seen.closes.every((code) => code === 1013),
    ),
    bar("anything else", tally(seen.unexpected), "none", seen.unexpected.length === 0),
    bar(
      "memory in the first and last third",
      `${early.toFixed(0)} and ${late.toFixed(0)} MiB`,
      `within ${FLAT_MIB} MiB`,
      late - early <= FLAT_MIB,
    ),
  ];
}
