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
const TOKEN_MS = 50;
/** Of each answer. */
const TOKENS = 10;
/** Requests that may wait: as many as run, so that who is taken waits about as long as an answer takes. */
const QUEUE = 64;
const CAPACITY = (SLOTS * 1000) / (TOKENS * TOKEN_MS);
/** Messages offered, by capacity. */
const OVERLOAD = 2;
/** New sockets a second against a server that is full. */
const KNOCKS = 20;

const PEAK_SECONDS = 10;
/** Until heap and compiled code have their size. */
const WARM_UP_SECONDS = 15;
const TICK_MS = 5;

const message = messageOf(TOKENS, "overload");

/** What came of all that was asked for. */
class Tally {
  answers = 0;
  readonly refusalMs: number[] = [];
  readonly knockMs: number[] = [];
  readonly others: string[] = [];
  readonly closes: number[] = [];
}

/** A socket that asks one thing at a time. */
class Asker {
  readonly socket: LoadSocket;
  readonly #idle: Asker[];
  #askedAt = 0;
  tally = new Tally();

  constructor(url: string, idle: Asker[]) {
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
      else this.tally.others.push(`a wrong answer: ${frame.finish_reason}`);
    } else if (frame.type === "error") {
      if (frame.code === "overloaded") this.tally.refusalMs.push(performance.now() - this.#askedAt);
      else this.tally.others.push(`error ${frame.code}`);
    } else {
      return;
    }
    this.#idle.push(this);
  }
}

/** Offers twice what a slot-bound provider can do. */
export const overload: LoadProgram = {
  summary: "twice what a provider with 64 slots can do, and knocks at a full door",
  options: {
    seconds: { default: 60, doc: "of overload; about 30 more go before" },
    sockets: { default: 600, doc: "sockets that ask" },
  },
  run({ seconds = 0, sockets = 0 }) {
    const lack = roomForSockets(sockets);
    if (lack !== null) throw new Error(lack);
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
    const idle: Asker[] = [];
    const askers: Asker[] = [];
    await openAll(sockets, () => {
      const asker = new Asker(url, idle);
      askers.push(asker);
      return asker.socket;
    });
    idle.push(...askers);
    const peak = await saturate(idle, PEAK_SECONDS);
    await offer(url, idle, WARM_UP_SECONDS, new Tally());
    const memory = sampleMemory(service.pid);
    const tally = new Tally();
    const goodput = await offer(url, idle, seconds, tally);
    const rss = memory();
    for (const { socket } of askers) socket.cut();
    return report({ peak, goodput, tally, rss });
  } finally {
    const { code } = await service.stop();
    if (code !== 0) console.error(`the service ended with code ${code}`);
  }
}

/** Keeps every slot busy with a few waiting; answers a second. */
async function saturate(idle: Asker[], seconds: number): Promise<number> {
  const tally = new Tally();
  const atOnce = SLOTS + QUEUE / 2;
  let asked = 0;
  const fill = (): void => {
    while (asked - tally.answers < atOnce) {
      const asker = idle.shift();
      if (asker === undefined) return;
      asker.ask(tally);
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

/** Messages at twice the capacity, whatever becomes of them, and knocks at the full door; answers a second. */
async function offer(url: string, idle: Asker[], seconds: number, tally: Tally): Promise<number> {
  const began = performance.now();
  let asked = 0;
  let knocked = 0;
  const timer = setInterval(() => {
    const elapsed = (performance.now() - began) / 1000;
    while (asked < elapsed * CAPACITY * OVERLOAD) {
      asked++;
      const asker = idle.shift();
      if (asker === undefined) tally.others.push("no socket was idle");
      else asker.ask(tally);
    }
    while (knocked < elapsed * KNOCKS) {
      knocked++;
      knock(url, tally);
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

function knock(url: string, tally: Tally): void {
  new LoadSocket({
    url,
    closed(code, _reason, afterMs) {
      tally.closes.push(code);
      tally.knockMs.push(afterMs);
    },
  });
}

/** Samples a process's memory each second; the returned function ends it and gives MiB. */
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

/** What heaps breathe. */
const FLAT_MIB = 16;

function report({ peak, goodput, tally: seen, rss }: OverloadResult): Bar[] {
  const third = Math.max(1, Math.floor(rss.length / 3));
  const early = percentile(rss.slice(0, third), 0.5);
  const late = percentile(rss.slice(-third), 0.5);
  const refusedP99 = percentile(seen.refusalMs, 0.99);
  const knockP99 = percentile(seen.knockMs, 0.99);
  console.log(
    `capacity ${CAPACITY}/s in theory, peak ${peak.toFixed(1)}/s; offered ${CAPACITY * OVERLOAD}/s`,
  );
  console.log(
    `${seen.answers} answers, ${seen.refusalMs.length} refused (p50 ${percentile(seen.refusalMs, 0.5).toFixed(1)} ms), ` +
      `${seen.knockMs.length} turned away at the door (p50 ${percentile(seen.knockMs, 0.5).toFixed(1)} ms)`,
  );
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const share = goodput / peak;
  return [
    bar(
      "goodput by peak",
      `${(share * 100).toFixed(1)} % (${goodput.toFixed(1)}/s)`,
      "≥ 95 %",
      share >= 0.95,
    ),
    bar("`overloaded` p99", ms(refusedP99), "< 10 ms", refusedP99 < 10),
    bar("1013 p99, from connect", ms(knockP99), "< 10 ms", knockP99 < 10),
    bar(
      "close codes",
      tally(seen.closes),
      "1013 only",
      seen.closes.length > 0 && seen.closes.every((code) => code === 1013),
    ),
    bar("anything else", tally(seen.others), "none", seen.others.length === 0),
    bar(
      "memory, first and last third",
      `${early.toFixed(0)} and ${late.toFixed(0)} MiB`,
      `within ${FLAT_MIB} MiB`,
      late - early <= FLAT_MIB,
    ),
  ];
}
