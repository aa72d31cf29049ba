import { settings } from "../../../../src/config/schema.ts";
import { askOnce, sleep } from "../load/chatting.ts";
import { percentile } from "../../harness/statistics.ts";
import { seededRandom } from "../load/random.ts";
import { defineScenario, WINDOW } from "../scenario.ts";

const FREE_P99 = "cancel to slot free p99, ms";

/** Milliseconds that the bar allows beyond the longest step. */
const MARGIN_MS = 50;

export const cancelScenario = defineScenario({
  name: "cancel",
  about: "time from a cancel in the middle of a prompt of 1,500 tokens until another request has the slot",
  control: "none",
  pairs: 3,
  full: { words: 1480, samples: 100, maxTickMs: Number(settings.LOCAL_MAX_TICK_MS.shownDefault) },
  quick: { words: 200, samples: 3, maxTickMs: 250 },
  cases: ({ words, samples, maxTickMs }) => [
    {
      name: `${words} words`,
      spec: {
        slots: 1,
        contextTokens: WINDOW,
        systemPrompt: "",
        settings: { LOCAL_MAX_TICK_MS: String(maxTickMs) },
      },
      fresh: false,
      bars: [{ figure: FREE_P99, of: "own", atMost: maxTickMs + MARGIN_MS }],
      async run(target, seed) {
        const random = seededRandom(seed);
        const long = { user: "long", words, tokens: 4, random };
        const short = { user: "short", words: 1, tokens: 1, random };
        await target.connect(["long", "short"]);
        const whole = await askOnce(target, { ...long, conversation: `whole-${seed}` });
        const promptMs = (whole.textAt[0] ?? whole.endAt) - whole.sentAt;
        const waits: number[] = [];
        let missed = 0;
        for (let sample = 0; sample < samples; sample++) {
          const stop = new AbortController();
          const conversation = `${seed}-${sample}`;
          const cancelled = askOnce(target, { ...long, conversation, signal: stop.signal });
          await sleep(Math.min(50, promptMs * 0.1));
          const next = askOnce(target, { ...short, conversation });
          await sleep(promptMs * (0.15 + 0.5 * random()));
          const at = performance.now();
          stop.abort();
          const [before, after] = await Promise.all([cancelled, next]);
          if (!before.cancelled || before.textAt.length > 0 || after.queueMs === null) missed++;
          else waits.push(after.sentAt + after.queueMs - at);
        }
        return {
          "cancel to slot free p50, ms": percentile(waits, 0.5),
          [FREE_P99]: percentile(waits, 0.99),
          "cancelled in the prompt": waits.length,
          "too late": missed,
          "whole prompt, ms": promptMs,
        };
      },
    },
  ],
});
