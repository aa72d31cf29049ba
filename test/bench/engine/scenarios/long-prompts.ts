import { during, keepAsking, userNames } from "../load/chatting.ts";
import { firstTokenMs, interTokenMs, workFigures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { randomOf } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW } from "../scenario.ts";

const SLOWDOWN = "inter-token p99, long prompts / quiet";
const LONG_FIRST = "first token p50 of long prompts, ms";

export const longPromptsScenario = defineScenario({
  name: "long-prompts",
  about: "inter-token times of chats while prompts of 900 words keep arriving, against a quiet period before",
  control: "llama-server",
  pairs: 9,
  full: { chats: 8, arriving: 2, words: 20, tokens: 256, longWords: 900, longTokens: 16, seconds: 40 },
  quick: { chats: 2, arriving: 1, words: 8, tokens: 16, longWords: 60, longTokens: 2, seconds: 1 },
  cases: ({ chats, arriving, words, tokens, longWords, longTokens, seconds }) => [
    {
      name: `${chats} chats, ${arriving} long prompts at a time`,
      spec: { slots: chats + arriving, contextTokens: WINDOW, systemPrompt: PLAIN_SYSTEM },
      fresh: false,
      bars: [
        { figure: SLOWDOWN, of: "own", atMost: 2 },
        { figure: LONG_FIRST, of: "ratio", atMost: 2 },
      ],
      async run(target, seed) {
        const stop = new AbortController();
        const { signal } = stop;
        const keep = (prefix: string, count: number, size: { words: number; tokens: number }) =>
          userNames(prefix, count).map((user, index) => {
            const random = randomOf(seed, index + (prefix === "long" ? chats : 0));
            return keepAsking(target, { user, conversation: `${user}-${seed}`, ...size, random, signal });
          });
        await target.connect([...userNames("chat", chats), ...userNames("long", arriving)]);
        const quiet = Promise.all(keep("chat", chats, { words, tokens }));
        await during(quiet, seconds * 250);
        const from = performance.now();
        await during(quiet, seconds * 1000);
        const turn = performance.now();
        const long = Promise.all(keep("long", arriving, { words: longWords, tokens: longTokens }));
        await during(Promise.all([quiet, long]), seconds * 1000);
        const to = performance.now();
        stop.abort();
        const chatted = (await quiet).flat();
        const prompts = (await long).flat().filter(({ textAt }) => textAt.length > 0);
        const before = percentile(interTokenMs(chatted, from, turn), 0.99);
        const beside = percentile(interTokenMs(chatted, turn, to), 0.99);
        return {
          [SLOWDOWN]: beside / before,
          "inter-token p99 quiet, ms": before,
          "inter-token p99 with long prompts, ms": beside,
          [LONG_FIRST]: percentile(prompts.map(firstTokenMs), 0.5),
          "long prompts begun": prompts.length,
          ...workFigures(chatted),
        };
      },
    },
  ],
});
