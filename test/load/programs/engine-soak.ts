import { randomBytes } from "node:crypto";
import { createTokenSigner } from "../../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../../src/core/clock.ts";
import { randomOf } from "../../bench/engine/load/random.ts";
import { residentBytes } from "../../bench/harness/resident-memory.ts";
import { startService, type Service } from "../../support/service.ts";
import { tinyModel } from "../../support/tiny-gguf.ts";
import { soakUser, type SoakTally } from "./engine-soak-user.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import { inMib, readFigures, slopePerMinute } from "./server-figures.ts";

const SAMPLE_MS = 5000;
/** Share of the run for warm-up, in which caches fill and code is compiled. After it, memory must not grow. */
const WARM_UP_SHARE = 1 / 3;
/**
 * Allowed growth of memory after the warm-up, as a share of the mean, since a line through noisy samples is never flat.
 */
const GROWTH_SHARE = 0.03;
/** Longest wait for all gauges to return to 0, in milliseconds. */
const SETTLE_MS = 15_000;

/** Gauges that must be 0 when no request is open. */
const IDLE = [
  "answers_running",
  "messages_pending",
  "requests_waiting",
  "requests_running",
  "engine_waiting",
  "engine_waiting_tokens",
  "engine_running",
] as const;

interface Plan {
  readonly minutes: number;
  readonly users: number;
  readonly pauseMs: number;
  readonly seed: number;
}

/**
 * Mixed load with random cancels and cuts on the local engine. Checks that nothing is stuck and memory did not grow.
 */
export const engineSoak: LoadProgram = {
  summary:
    "mixed load on the local engine (tiny model) with random cancels and cuts; checks that nothing stays stuck",
  options: {
    minutes: { default: 30, doc: "length of the load in minutes" },
    users: { default: 8, doc: "users, on 4 slots" },
    pause: { default: 1200, doc: "mean pause between two messages of a user, in milliseconds" },
    seed: { default: 1, doc: "seed of the users' actions" },
  },
  async run({ minutes = 0, users = 0, pause = 0, seed = 0 }) {
    const secret = randomBytes(32).toString("hex");
    const service = await startService({
      MODEL_PATH: await tinyModel(),
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
      const protocols = (user: string) => ["chat.v1", `bearer.${sign(user, minutes * 60 + 600)}`];
      const tally: SoakTally = { sent: 0, ends: new Map() };
      const memory = await drive(service, { minutes, users, pauseMs: pause, seed }, tally, protocols);
      const ends = [...tally.ends].map(([name, count]) => `${name} ${count}`).join(", ");
      console.log(`${tally.sent} messages: ${ends}`);
      return [...(await settled(service, tally)), ...memory.map(memoryBar)];
    } finally {
      await service.stop();
    }
  },
};

interface Memory {
  readonly name: string;
  readonly samples: { readonly at: number; readonly rss: number }[];
}

async function drive(
  service: Service,
  plan: Plan,
  tally: SoakTally,
  protocols: (user: string) => string[],
): Promise<readonly Memory[]> {
  const engine = service.enginePid();
  if (engine === undefined) throw new Error("the service started no engine");
  const memory: Memory[] = [
    { name: "gateway", samples: [] },
    { name: "engine", samples: [] },
  ];
  const sampling = setInterval(() => {
    for (const [index, pid] of [service.pid, engine].entries()) {
      memory[index]?.samples.push({ at: performance.now(), rss: residentBytes(pid) });
    }
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
  return memory;
}

/** Waits until the answers of cut connections are abandoned, then reads the gauges. */
async function settled(service: Service, tally: SoakTally): Promise<Bar[]> {
  const end = performance.now() + SETTLE_MS;
  let { gauges } = await readFigures(service);
  while (IDLE.some((name) => gauges.get(name) !== 0) && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    ({ gauges } = await readFigures(service));
  }
  const ended = [...tally.ends.values()].reduce((sum, count) => sum + count, 0);
  const errors = [...tally.ends].filter(([name]) => name.startsWith("error") && name !== "error busy");
  return [
    ...IDLE.map((name) => none(`chat_${name} afterwards`, gauges.get(name) ?? Number.NaN)),
    bar("messages that ended once", `${ended} of ${tally.sent}`, "all", ended === tally.sent),
    none("errors other than busy", errors.length),
  ];
}

function memoryBar({ name, samples }: Memory): Bar {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP_SHARE));
  const minutes = ((warm.at(-1)?.at ?? 0) - (warm[0]?.at ?? 0)) / 60_000;
  const growth = slopePerMinute(warm) * minutes;
  const mean = warm.reduce((sum, { rss }) => sum + rss, 0) / Math.max(1, warm.length);
  const limit = GROWTH_SHARE * mean;
  return bar(
    `growth of the ${name} after the warm-up`,
    `${inMib(growth)} over ${minutes.toFixed(1)} min of ${inMib(mean)}`,
    `≤ ${inMib(limit)}`,
    growth <= limit,
  );
}
