import { randomBytes } from "node:crypto";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../src/core/clock.ts";
import { randomOf } from "../bench/engine/load/random.ts";
import { startService, type Service } from "../support/service.ts";
import { soakUser, type SoakTally } from "./engine-soak-user.ts";
import { MemoryTrend, residentBytes } from "./memory-trend.ts";

export interface EngineSoakPlan {
  readonly minutes: number;
  readonly users: number;
  /** A GGUF file. */
  readonly modelPath: string;
  readonly pauseMs: number;
  readonly seed: number;
}

const SAMPLE_MS = 5000;
/** Caches fill and code is compiled before this share of the run; from then on memory must stand still. */
const WARM_UP_SHARE = 1 / 3;
/** A line through noisy samples is never quite flat. */
const GROWTH_SHARE = 0.03;
const SETTLE_MS = 15_000;
const MB = 1_048_576;

/** All that must be 0 once nobody asks for anything. */
const IDLE = [
  "chat_answers_running",
  "chat_messages_pending",
  "chat_requests_waiting",
  "chat_requests_running",
  "chat_engine_waiting",
  "chat_engine_waiting_tokens",
  "chat_engine_running",
] as const;

interface Verdict {
  readonly what: string;
  readonly holds: boolean;
}

/**
 * Mixed load with random cancels and cut lines on the local engine, and what must hold after it: memory stands still
 * after a warm-up, no slot is stuck, and every message that was taken has ended once.
 *
 * @returns whether all of it holds.
 */
export async function engineSoak(plan: EngineSoakPlan, print: (line: string) => void): Promise<boolean> {
  const secret = randomBytes(32).toString("hex");
  const service = await startService({
    MODEL_PATH: plan.modelPath,
    GPU: "off",
    LOCAL_SLOTS: "4",
    LOCAL_CONTEXT_SIZE: "2048",
    LOCAL_KV_CACHE_MB: "32",
    ABANDON_SECONDS: "2",
    ANSWER_RETENTION_SECONDS: "20",
    SESSION_RETENTION_SECONDS: "20",
    JWT_SECRET: secret,
  });
  try {
    const sign = createTokenSigner({ secret, clock });
    const tally: SoakTally = { sent: 0, ends: new Map() };
    const trends = await drive(service, plan, tally, (user) => [
      "chat.v1",
      `bearer.${sign(user, plan.minutes * 60 + 600)}`,
    ]);
    const verdicts = [...(await settled(service, tally)), ...memoryVerdicts(trends, plan)];
    print(`${tally.sent} messages: ${[...tally.ends].map(([name, n]) => `${name} ${n}`).join(", ")}`);
    for (const { what, holds } of verdicts) print(`${holds ? "ok " : "NOT"} ${what}`);
    return verdicts.every(({ holds }) => holds);
  } finally {
    await service.stop();
  }
}

type Trends = ReadonlyMap<string, MemoryTrend>;

async function drive(
  service: Service,
  plan: EngineSoakPlan,
  tally: SoakTally,
  protocols: (user: string) => string[],
): Promise<Trends> {
  const engine = service.enginePid();
  if (engine === undefined) throw new Error("the service has no engine");
  const trends = new Map([
    ["gateway", new MemoryTrend()],
    ["engine", new MemoryTrend()],
  ]);
  const from = performance.now();
  const sampling = setInterval(() => {
    const seconds = (performance.now() - from) / 1000;
    trends.get("gateway")?.add(seconds, residentBytes(service.pid));
    trends.get("engine")?.add(seconds, residentBytes(engine));
  }, SAMPLE_MS);
  try {
    const signal = AbortSignal.timeout(plan.minutes * 60_000);
    const users = Array.from({ length: plan.users }, (_, index) =>
      soakUser({
        url: `${service.url}/ws/chat/auth`,
        protocols: () => protocols(`user-${index}`),
        random: randomOf(plan.seed, index),
        tally,
        pauseMs: plan.pauseMs,
        signal,
      }),
    );
    await Promise.all(users);
  } finally {
    clearInterval(sampling);
  }
  return trends;
}

/** Waits for the abandon clock of cut lines, and reads what is left. */
async function settled(service: Service, tally: SoakTally): Promise<Verdict[]> {
  const end = performance.now() + SETTLE_MS;
  let metrics = await readMetrics(service);
  while (IDLE.some((name) => metrics.get(name) !== 0) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    metrics = await readMetrics(service);
  }
  const idle = IDLE.map((what) => ({
    what: `${what} is ${metrics.get(what)}`,
    holds: metrics.get(what) === 0,
  }));
  const ended = [...tally.ends.values()].reduce((sum, count) => sum + count, 0);
  const refused = tally.ends.get("error busy") ?? 0;
  const restarts = metrics.get("chat_engine_restarts_total") ?? 0;
  return [
    ...idle,
    { what: `${ended} of ${tally.sent} messages ended once`, holds: ended === tally.sent },
    { what: `${refused} were refused as busy, the only error`, holds: errors(tally) === refused },
    { what: `${restarts} restarts of the engine`, holds: restarts === 0 },
  ];
}

function errors({ ends }: SoakTally): number {
  return [...ends].reduce((sum, [name, count]) => (name.startsWith("error") ? sum + count : sum), 0);
}

function memoryVerdicts(trends: Trends, plan: EngineSoakPlan): Verdict[] {
  const from = plan.minutes * 60 * WARM_UP_SHARE;
  return [...trends].map(([name, trend]) => {
    const growth = trend.growth(from);
    const mean = trend.mean(from);
    return {
      what: `memory of the ${name}: ${(mean / MB).toFixed(0)} MB on average, ${(growth / MB).toFixed(1)} MB more at the end than after the warm-up`,
      holds: growth <= mean * GROWTH_SHARE,
    };
  });
}

/** Sums over all labels, by name. */
async function readMetrics(service: Service): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const line of (await (await service.http("/metrics")).text()).split("\n")) {
    const found = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line);
    if (found?.[1] !== undefined) sums.set(found[1], (sums.get(found[1]) ?? 0) + Number(found[2]));
  }
  return sums;
}
