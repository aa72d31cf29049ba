import type { Answer, ChatTarget } from "../chat-target.ts";
import { askOnce, during, keepAsking, userNames } from "../load/chatting.ts";
import { jainIndex, tokensBetween, workFigures } from "../load/figures.ts";
import { seededRandom, type Random } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW } from "../scenario.ts";

const SLOWDOWN = "time of the others, beside the greedy user / alone";
const JAIN = "Jain index of tokens";

interface Size {
  readonly words: number;
  readonly tokens: number;
  readonly random: Random;
}

/** Sends one request per user at once. @returns milliseconds until the last answer. */
async function oneEach(
  target: ChatTarget,
  users: readonly string[],
  tag: string,
  size: Size,
): Promise<number> {
  const begin = performance.now();
  await Promise.all(users.map((user) => askOnce(target, { user, conversation: `${user}-${tag}`, ...size })));
  return performance.now() - begin;
}

export const fairnessScenario = defineScenario({
  name: "fairness",
  about: "one user with 32 concurrent requests and 8 users with one each; then all users keep a backlog",
  control: "none",
  pairs: 3,
  full: { slots: 8, greedy: 32, others: 8, backlog: 4, words: 75, tokens: 64, seconds: 60, settle: 4 },
  quick: { slots: 2, greedy: 8, others: 2, backlog: 3, words: 8, tokens: 6, seconds: 1.5, settle: 0.3 },
  cases: ({ slots, greedy, others, backlog, words, tokens, seconds, settle }) => [
    {
      name: `${greedy} in flight beside ${others} users on ${slots} slots`,
      spec: {
        slots,
        contextTokens: WINDOW,
        systemPrompt: PLAIN_SYSTEM,
        settings: { MAX_ACTIVE_ANSWERS_PER_CLIENT: "32" },
      },
      fresh: false,
      bars: [
        { figure: SLOWDOWN, of: "own", atMost: 1.5 },
        { figure: JAIN, of: "own", atLeast: 0.95 },
      ],
      async run(target, seed) {
        const size = { words, tokens, random: seededRandom(seed) };
        const users = userNames("user", others);
        await target.connect(["greedy", ...users]);
        const alone = await oneEach(target, users, `alone-${seed}`, size);
        const stop = new AbortController();
        const keep = (user: string, count: number): Promise<Answer[][]> =>
          Promise.all(
            userNames(`${user}-${seed}`, count).map((conversation) =>
              keepAsking(target, { user, conversation, ...size, signal: stop.signal }),
            ),
          );
        const all = [keep("greedy", greedy)];
        await during(Promise.all(all), settle * 1000);
        const beside = await oneEach(target, users, `beside-${seed}`, size);
        all.push(...users.map((user) => keep(user, backlog)));
        const load = Promise.all(all);
        await during(load, settle * 1000);
        const from = performance.now();
        await during(load, seconds * 1000);
        const to = performance.now();
        stop.abort();
        const answers = (await load).map((loops) => loops.flat());
        const shares = answers.map((own) => tokensBetween(own, from, to));
        return {
          [SLOWDOWN]: beside / alone,
          "alone, ms": alone,
          "beside the greedy user, ms": beside,
          [JAIN]: jainIndex(shares),
          "tokens of the greedy user": shares[0] ?? 0,
          "min tokens of the others": Math.min(...shares.slice(1)),
          "max tokens of the others": Math.max(...shares.slice(1)),
          ...workFigures(answers.flat()),
        };
      },
    },
  ],
});
