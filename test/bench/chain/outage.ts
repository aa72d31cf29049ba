import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { ChatSocket } from "../../support/chat-socket.ts";
import { slowDrip, status, whole } from "../../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../../support/fault-server.ts";
import { startService, type Service } from "../../support/service.ts";
import { spreadOf, type Spread } from "../harness/statistics.ts";
import { percentile } from "../harness/statistics.ts";

export interface OutageOptions {
  /** Length of the outage, in seconds. */
  readonly seconds: number;
  /** Messages per second sent to each of the two services. */
  readonly rate: number;
  /** AI_BREAKER_SECONDS of both services. */
  readonly breakerSeconds: number;
}

export interface OutageResult {
  /** Messages sent during the outage, and how many of them got a whole answer. */
  readonly messages: number;
  readonly whole: number;
  /** Requests that reached the broken provider during the outage. */
  readonly brokenRequests: number;
  /**
   * Milliseconds from message to whole answer while the breaker is open: with the chain, and with the fallback alone.
   */
  readonly chain: { readonly p50: number; readonly p95: number };
  readonly alone: { readonly p50: number; readonly p95: number };
  /** Milliseconds from the end of the outage to the first answer of the first provider. */
  readonly recoveredMs: number;
}

interface Sample {
  readonly at: number;
  readonly ms: number;
  readonly provider: unknown;
}

const SOCKETS = 20;
/**
 * Milliseconds after which a provider that is not used again counts as lost. Long, since a test runs on any machine.
 */
const RECOVERY_MS = 15_000;
const keys = {
  OPENAI_API_KEY: "sk-bench",
  HF_API_KEY: "hf-bench",
  // On a busy machine, messages arrive faster than they are answered for a time.
  MAX_ACTIVE_ANSWERS_PER_CLIENT: "1000",
};

/** Sends messages over a fixed set of sockets, one socket after the other. */
class Caller {
  readonly samples: Sample[] = [];
  sent = 0;
  readonly #asked: Promise<void>[] = [];
  readonly #sockets: readonly ChatSocket[];

  private constructor(sockets: readonly ChatSocket[]) {
    this.#sockets = sockets;
  }

  static async connect(service: Service): Promise<Caller> {
    const open = () => ChatSocket.greeted(`${service.url}/ws/chat`);
    return new Caller(await Promise.all(Array.from({ length: SOCKETS }, open)));
  }

  send(): void {
    const number = this.sent++;
    const socket = this.#sockets[number % SOCKETS] as ChatSocket;
    const at = performance.now();
    const id = `m${number}`;
    const asked = socket.ask("Where is it?", { id, conversation: id }).then((end) => {
      if (end.type === "message") {
        this.samples.push({ at, ms: performance.now() - at, provider: end["provider"] });
      }
    });
    // A message without an end is reported by its missing sample.
    this.#asked.push(asked.catch(() => undefined));
  }

  /** Waits for the end of every message. */
  async settled(): Promise<void> {
    await Promise.all(this.#asked);
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }
}

/** Calls `act` `rate` times a second until `over` returns true. */
async function steadily(rate: number, act: () => void, over: () => boolean): Promise<void> {
  const begin = performance.now();
  for (let count = 0; !over(); count++) {
    const wait = begin + (count * 1000) / rate - performance.now();
    if (wait > 0) await delay(wait);
    act();
  }
}

/** Under load, one provider fails every request for a while. The same load goes to a service with only the fallback. */
export async function measureOutage(options: OutageOptions): Promise<OutageResult> {
  const { seconds, rate, breakerSeconds } = options;
  const [broken, healthy] = await Promise.all([startFaultServer(), startFaultServer()]);
  broken.play(status(500));
  healthy.play(whole());
  const urls = { OPENAI_BASE_URL: broken.baseUrl, HF_BASE_URL: healthy.baseUrl };
  const [chain, alone] = await Promise.all([
    startService({
      ...keys,
      ...urls,
      AI_PROVIDER: "openai",
      AI_FALLBACK: "huggingface",
      AI_BREAKER_SECONDS: String(breakerSeconds),
    }),
    startService({ ...keys, ...urls, AI_PROVIDER: "huggingface", AI_FALLBACK: "none" }),
  ]);
  const callers = await Promise.all([Caller.connect(chain), Caller.connect(alone)]);
  const [chained, bare] = callers;
  try {
    const begin = performance.now();
    const both = (): void => {
      chained.send();
      bare.send();
    };
    await steadily(rate, both, () => performance.now() - begin >= seconds * 1000);
    const messages = chained.sent;
    const brokenRequests = broken.requests.length;
    const restored = performance.now();
    broken.play(whole());
    const first = (): Sample | undefined => chained.samples.find(({ provider }) => provider === "openai");
    const limit = restored + breakerSeconds * 2000 + RECOVERY_MS;
    await steadily(rate, both, () => first() !== undefined || performance.now() > limit);
    await Promise.all(callers.map((caller) => caller.settled()));
    // Excluded: the first second, with the failures that open the breaker and with cold code.
    const timed = (caller: Caller) => {
      const open = caller.samples.filter(({ at }) => at > begin + 1000 && at < restored).map(({ ms }) => ms);
      return { p50: percentile(open, 0.5), p95: percentile(open, 0.95) };
    };
    const recovered = first();
    return {
      messages,
      whole: chained.samples.filter(({ at }) => at < restored).length,
      brokenRequests,
      chain: timed(chained),
      alone: timed(bare),
      recoveredMs: recovered === undefined ? Infinity : recovered.at + recovered.ms - restored,
    };
  } finally {
    await Promise.all(callers.map((caller) => caller.close()));
    await Promise.all([chain.stop(), alone.stop()]);
    await Promise.all([broken.close(), healthy.close()]);
  }
}

/** Milliseconds from a client's cancel to the close of the upstream connection, over `times` answers. */
export async function measureCancel(times: number): Promise<Spread> {
  const upstream: FaultServer = await startFaultServer();
  upstream.play(slowDrip(10));
  const service = await startService({
    ...keys,
    OPENAI_BASE_URL: upstream.baseUrl,
    AI_PROVIDER: "openai",
    AI_FALLBACK: "none",
  });
  const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
  try {
    const took: number[] = [];
    for (let index = 0; index < times; index++) {
      const id = `m${index}`;
      chat.send({ message: "Where is it?", id, conversation: id });
      await chat.next((frame) => frame.type === "token" && frame["id"] === id);
      const request = await upstream.request(index);
      const at = performance.now();
      chat.send({ type: "cancel", id, conversation: id });
      await request.over;
      took.push((request.abandonedAt ?? Infinity) - at);
    }
    return spreadOf(took);
  } finally {
    await chat.close();
    await service.stop();
    await upstream.close();
  }
}

/** `npm run bench -- outage`. @returns the exit code: 1 if a bar is missed */
export async function outageBench(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "60" },
      rate: { type: "string", default: "50" },
      breaker: { type: "string", default: "2" },
    },
  });
  const options = {
    seconds: Number(values.seconds),
    rate: Number(values.rate),
    breakerSeconds: Number(values.breaker),
  };
  if (!Object.values(options).every((value) => value > 0)) {
    throw new RangeError("--seconds, --rate and --breaker must be greater than 0.");
  }
  const result = await measureOutage(options);
  const cancel = await measureCancel(20);
  const added = result.chain.p95 - result.alone.p95;
  const rows: [string, string, boolean][] = [
    ["whole answers", `${result.whole} of ${result.messages}`, result.whole === result.messages],
    ["requests to the broken provider", String(result.brokenRequests), true],
    ["p50 / p95 with the chain", `${result.chain.p50.toFixed(1)} / ${result.chain.p95.toFixed(1)} ms`, true],
    [
      "p50 / p95 with the fallback alone",
      `${result.alone.p50.toFixed(1)} / ${result.alone.p95.toFixed(1)} ms`,
      true,
    ],
    ["added at p95 (bar 5 ms)", `${added.toFixed(1)} ms`, added <= 5],
    [
      `recovery after the outage (bar ${options.breakerSeconds} s)`,
      `${(result.recoveredMs / 1000).toFixed(2)} s`,
      result.recoveredMs <= options.breakerSeconds * 1000 + 100,
    ],
    [
      "cancel to closed upstream (bar 50 ms)",
      `${cancel.median.toFixed(1)} ms, max ${cancel.most.toFixed(1)}`,
      cancel.most <= 50,
    ],
  ];
  for (const [name, value, met] of rows)
    console.log(`  ${name.padEnd(40)}${value}${met ? "" : "   NOT MET"}`);
  return rows.every(([, , met]) => met) ? 0 : 1;
}
