import type { Answer, ChatTarget } from "../chat-target.ts";
import type { Bar } from "../load/bars.ts";
import { askOnce, sleep } from "../load/chatting.ts";
import { firstTokenMs, interTokenMs, workFigures, type Figures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { poissonArrivals, randomOf, seededRandom } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW, type Case } from "../scenario.ts";
import { closedLoop } from "./closed-loop.ts";

const FIRST_P95 = "first token p95, ms";
const GAP_P50 = "inter-token p50, ms";
const GAP_P99 = "inter-token p99, ms";
const CAPACITY = "capacity, answers/s";
/** Differs from the seed of any run, so that no server has cached the texts of a run. */
const CALIBRATION_SEED = 1_000_003;

interface PoissonSizes {
  readonly slots: number;
  readonly answers: number;
  readonly words: number;
  readonly tokens: number;
  /** Seconds over which the capacity is measured. */
  readonly calibration: number;
}

/** New users who arrive one by one, each with one message. */
async function arrivals(
  target: ChatTarget,
  { answers: count, words, tokens }: PoissonSizes,
  perSecond: number,
  seed: number,
): Promise<Figures> {
  const random = seededRandom(seed);
  const begin = performance.now();
  const pending = poissonArrivals(random, perSecond, count).map(async (at, index): Promise<Answer> => {
    const user = `poisson-${seed}-${index}`;
    // The page connects some time before its user sends a message.
    await sleep(begin + at - 500 - performance.now());
    await target.connect([user]);
    await sleep(begin + at - performance.now());
    return askOnce(target, { user, conversation: user, words, tokens, random: randomOf(seed, index) });
  });
  const answers = await Promise.all(pending);
  const first = answers.map(firstTokenMs);
  const gaps = interTokenMs(answers);
  const last = Math.max(...answers.map(({ endAt }) => endAt));
  return {
    "arrivals/s": perSecond,
    "answers/s": (count * 1000) / (last - begin),
    "first token p50, ms": percentile(first, 0.5),
    [FIRST_P95]: percentile(first, 0.95),
    "first token p99, ms": percentile(first, 0.99),
    [GAP_P50]: percentile(gaps, 0.5),
    [GAP_P99]: percentile(gaps, 0.99),
    ...workFigures(answers),
  };
}

function caseOf(
  name: string,
  load: number,
  sizes: PoissonSizes,
  bars: readonly Bar[],
  settings: Readonly<Record<string, string>> = {},
): Case {
  const { slots, words, tokens, calibration } = sizes;
  return {
    name,
    spec: { slots, contextTokens: WINDOW, systemPrompt: PLAIN_SYSTEM, settings },
    fresh: false,
    bars,
    async calibrate(target) {
      const figures = await closedLoop(
        target,
        { chats: slots, words, tokens, seconds: calibration },
        CALIBRATION_SEED,
      );
      return { [CAPACITY]: (figures["tokens/s"] ?? 0) / (figures["answer tokens, mean"] ?? tokens) };
    },
    run: (target, seed, calibrated) => arrivals(target, sizes, (calibrated[CAPACITY] ?? 0) * load, seed),
  };
}

const full = { slots: 16, answers: 300, words: 30, tokens: 64, calibration: 30 };
const quick = { slots: 4, answers: 12, words: 10, tokens: 6, calibration: 0.5 };

export const poissonScenario = defineScenario({
  name: "poisson",
  about: "new users with short prompts at 60 % of the control's capacity (load: percent)",
  control: "llama-server",
  pairs: 9,
  full: { ...full, load: 60 },
  quick: { ...quick, load: 60 },
  cases: (sizes) => [
    caseOf(`${sizes.load} % load`, sizes.load / 100, sizes, [
      { figure: FIRST_P95, of: "ratio", atMost: 1 },
      { figure: GAP_P50, of: "ratio", atMost: 1.1 },
      { figure: GAP_P99, of: "ratio", atMost: 1 },
    ]),
  ],
});

export const tradeScenario = defineScenario({
  name: "trade",
  about: "like poisson, for a range of LOCAL_ITL_TARGET_MS and load (the cases); draws a plot, has no bar",
  control: "llama-server",
  pairs: 1,
  full: { ...full, answers: 150 },
  quick,
  cases: (sizes) =>
    [40, 60, 80, 95].flatMap((load) =>
      [25, 50, 100, 200].map((target) =>
        caseOf(`load ${load} %, target ${target} ms`, load / 100, sizes, [], {
          LOCAL_ITL_TARGET_MS: String(target),
        }),
      ),
    ),
});
