import { converse, userNames } from "../load/chatting.ts";
import { firstTokenMs, interTokenMs, workFigures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { randomOf } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW } from "../scenario.ts";

const FIRST_P50 = "first token p50, ms";
const FIRST_P95 = "first token p95, ms";
const LATER_P50 = "first token p50 of turns 2-4, ms";

export const burstScenario = defineScenario({
  name: "burst",
  about: "16 chats that all start at once and continue for 4 turns",
  control: "llama-server",
  pairs: 9,
  full: { chats: 16, turns: 4, words: 75, tokens: 64 },
  quick: { chats: 4, turns: 2, words: 20, tokens: 6 },
  cases: ({ chats, turns, words, tokens }) => [
    {
      name: `${chats} chats`,
      spec: { slots: chats, contextTokens: WINDOW, systemPrompt: PLAIN_SYSTEM },
      fresh: false,
      bars: [
        { figure: FIRST_P50, of: "ratio", atMost: 0.6 },
        { figure: FIRST_P95, of: "ratio", atMost: 1.1 },
        { figure: LATER_P50, of: "ratio", atMost: 0.15 },
      ],
      async run(target, seed) {
        const users = userNames(`burst-${seed}`, chats);
        await target.connect(users);
        const begin = performance.now();
        const all = await Promise.all(
          users.map((user, index) =>
            converse(
              target,
              { user, conversation: user, words, tokens, random: randomOf(seed, index) },
              turns,
            ),
          ),
        );
        const seconds = (performance.now() - begin) / 1000;
        const answers = all.flat();
        const first = all.flatMap((turn) => turn.slice(0, 1)).map(firstTokenMs);
        const later = all.flatMap((turn) => turn.slice(1)).map(firstTokenMs);
        const work = workFigures(answers);
        return {
          [FIRST_P50]: percentile(first, 0.5),
          [FIRST_P95]: percentile(first, 0.95),
          [LATER_P50]: percentile(later, 0.5),
          "inter-token p99, ms": percentile(interTokenMs(answers), 0.99),
          "tokens/s": ((work["answers"] ?? 0) * (work["answer tokens, mean"] ?? 0)) / seconds,
          ...work,
        };
      },
    },
  ],
});
