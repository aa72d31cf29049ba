import type { Answer } from "../chat-target.ts";
import { askOnce, sleep } from "../load/chatting.ts";
import { workFigures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { poissonArrivals, randomOf, seededRandom, wholeBetween } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW } from "../scenario.ts";

const ERROR = "error of eta_ms, median";

/**
 * Relative error of each `queued` frame with an eta, as a share of the remaining wait. Frames with less than
 * `minWaitMs` left are skipped, since a share of such a short wait means nothing.
 */
export function etaErrors({ sentAt, queueMs, queued }: Answer, minWaitMs: number): number[] {
  if (queueMs === null) return [];
  return queued.flatMap(({ at, etaMs }) => {
    const left = sentAt + queueMs - at;
    return etaMs === null || left < minWaitMs ? [] : [Math.abs(etaMs - left) / left];
  });
}

export const etaScenario = defineScenario({
  name: "eta",
  about:
    "error of eta_ms in `queued` frames, with 64 requests waiting for answers of 16 to 256 tokens and more arriving",
  control: "none",
  pairs: 3,
  full: {
    slots: 8,
    waiting: 64,
    later: 24,
    perMinute: 30,
    words: 40,
    leastTokens: 16,
    mostTokens: 256,
    leastWait: 500,
  },
  quick: {
    slots: 2,
    waiting: 8,
    later: 3,
    perMinute: 600,
    words: 8,
    leastTokens: 16,
    mostTokens: 96,
    leastWait: 10,
  },
  cases: ({ slots, waiting, later, perMinute, words, leastTokens, mostTokens, leastWait }) => [
    {
      name: `${waiting} waiting for ${slots} slots`,
      spec: { slots, contextTokens: WINDOW, systemPrompt: PLAIN_SYSTEM },
      fresh: false,
      bars: [{ figure: ERROR, of: "own", atMost: 0.3 }],
      async run(target, seed) {
        const random = seededRandom(seed);
        const at = [
          ...Array.from({ length: slots + waiting }, () => 0),
          ...poissonArrivals(random, perMinute / 60, later),
        ];
        const users = at.map((_, index) => `eta-${seed}-${index}`);
        await target.connect(users);
        const begin = performance.now();
        const pending = users.map(async (user, index) => {
          const own = randomOf(seed, index);
          const tokens = wholeBetween(own, leastTokens, mostTokens);
          await sleep(begin + (at[index] ?? 0) - performance.now());
          return askOnce(target, { user, conversation: user, words, tokens, random: own });
        });
        const answers = await Promise.all(pending);
        const errors = answers.map((answer) => etaErrors(answer, leastWait));
        const first = errors.flatMap((own) => own.slice(0, 1));
        return {
          [ERROR]: percentile(errors.flat(), 0.5),
          "error of the first eta_ms, median": percentile(first, 0.5),
          "error of eta_ms, p95": percentile(errors.flat(), 0.95),
          "notes with an eta": errors.flat().length,
          "longest wait, ms": Math.max(...answers.map(({ queueMs }) => queueMs ?? 0)),
          ...workFigures(answers),
        };
      },
    },
  ],
});
