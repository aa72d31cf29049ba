import type { Answer } from "../chat-target.ts";
import { converse, sleep, userNames } from "../load/chatting.ts";
import { firstTokenMs, interTokenMs, workFigures, type Figures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { exponential, poissonArrivals, randomOf, seededRandom } from "../load/random.ts";
import { systemText } from "../load/texts.ts";
import { defineScenario, WINDOW } from "../scenario.ts";

const RATE = "tokens/s";
const FIRST_P50 = "first token p50, ms";
const FIRST_P95 = "first token p95, ms";
const GAP_P99 = "inter-token p99, ms";

function figuresOf(answers: readonly Answer[], begin: number): Figures {
  const first = answers.map(firstTokenMs);
  const work = workFigures(answers);
  const tokens = (work["answers"] ?? 0) * (work["answer tokens, mean"] ?? 0);
  return {
    [RATE]: (tokens * 1000) / (performance.now() - begin),
    [FIRST_P50]: percentile(first, 0.5),
    [FIRST_P95]: percentile(first, 0.95),
    [GAP_P99]: percentile(interTokenMs(answers), 0.99),
    ...work,
  };
}

export const returningUsersScenario = defineScenario({
  name: "come-back",
  about:
    "users who arrive (0.2 per second), send 4 turns with pauses, and share a system prompt of 200 words",
  control: "llama-server",
  pairs: 9,
  full: {
    slots: 16,
    chats: 24,
    perMinute: 12,
    turns: 4,
    pauseSeconds: 8,
    system: 200,
    words: 40,
    tokens: 64,
  },
  quick: {
    slots: 4,
    chats: 4,
    perMinute: 240,
    turns: 2,
    pauseSeconds: 0.2,
    system: 60,
    words: 10,
    tokens: 6,
  },
  cases: ({ slots, chats, perMinute, turns, pauseSeconds, system, words, tokens }) => [
    {
      name: `${chats} chats`,
      spec: { slots, contextTokens: WINDOW, systemPrompt: systemText(system) },
      fresh: true,
      bars: [
        { figure: FIRST_P95, of: "ratio", atMost: 1 },
        { figure: GAP_P99, of: "ratio", atMost: 1.1 },
      ],
      async run(target, seed) {
        const random = seededRandom(seed);
        const users = userNames(`back-${seed}`, chats);
        await target.connect(users);
        const begin = performance.now();
        const times = poissonArrivals(random, perMinute / 60, chats);
        const all = users.map(async (user, index) => {
          const own = randomOf(seed, index);
          await sleep(begin + (times[index] ?? 0) - performance.now());
          const load = { user, conversation: user, words, tokens, random: own };
          return converse(target, load, turns, () => exponential(own, pauseSeconds * 1000));
        });
        return figuresOf((await Promise.all(all)).flat(), begin);
      },
    },
  ],
});

export const crowdScenario = defineScenario({
  name: "crowd",
  about: "32 chats on 16 slots, 3 turns without pauses, with a shared system prompt of 200 words",
  control: "llama-server",
  pairs: 9,
  full: { slots: 16, chats: 32, turns: 3, system: 200, words: 40, tokens: 32 },
  quick: { slots: 2, chats: 4, turns: 2, system: 60, words: 10, tokens: 6 },
  cases: ({ slots, chats, turns, system, words, tokens }) => [
    {
      name: `${chats} chats on ${slots} slots`,
      spec: { slots, contextTokens: WINDOW, systemPrompt: systemText(system) },
      fresh: true,
      bars: [
        { figure: RATE, of: "ratio", atLeast: 1.4 },
        { figure: FIRST_P50, of: "ratio", atMost: 0.5 },
        { figure: GAP_P99, of: "ratio", atMost: 0.2 },
      ],
      async run(target, seed) {
        const users = userNames(`crowd-${seed}`, chats);
        await target.connect(users);
        const begin = performance.now();
        const all = users.map((user, index) =>
          converse(target, { user, conversation: user, words, tokens, random: randomOf(seed, index) }, turns),
        );
        return figuresOf((await Promise.all(all)).flat(), begin);
      },
    },
  ],
});

export const sharedSystemScenario = defineScenario({
  name: "shared-system",
  about: "32 new users on 16 slots, all at once, who share a system prompt of 400 words",
  control: "llama-server",
  pairs: 9,
  full: { slots: 16, chats: 32, system: 400, words: 40, tokens: 16 },
  quick: { slots: 2, chats: 4, system: 80, words: 10, tokens: 4 },
  cases: ({ slots, chats, system, words, tokens }) => [
    {
      name: `${chats} users on ${slots} slots`,
      spec: { slots, contextTokens: WINDOW, systemPrompt: systemText(system) },
      fresh: true,
      bars: [{ figure: FIRST_P50, of: "ratio", atMost: 0.2 }],
      async run(target, seed) {
        const users = userNames(`shared-${seed}`, chats);
        await target.connect(users);
        const begin = performance.now();
        const all = users.map((user, index) =>
          converse(target, { user, conversation: user, words, tokens, random: randomOf(seed, index) }, 1),
        );
        return figuresOf((await Promise.all(all)).flat(), begin);
      },
    },
  ],
});

export const preemptionScenario = defineScenario({
  name: "preemption",
  about: "twice as many users as slots, 4 turns each, with a KV cache (LOCAL_KV_CACHE_MB) against without",
  control: "service",
  pairs: 9,
  needs: ["LOCAL_KV_CACHE_MB"],
  full: { slots: 8, turns: 4, pauseSeconds: 4, words: 200, tokens: 32, cacheMb: 1024 },
  quick: { slots: 2, turns: 2, pauseSeconds: 0.1, words: 20, tokens: 4, cacheMb: 64 },
  cases: ({ slots, turns, pauseSeconds, words, tokens, cacheMb }) => {
    const later = "first token p50 of turns 2-4, ms";
    const plain = { slots, contextTokens: WINDOW, systemPrompt: "" };
    return [
      {
        name: `${slots * 2} users on ${slots} slots`,
        spec: { ...plain, settings: { LOCAL_KV_CACHE_MB: String(cacheMb) } },
        controlSettings: { LOCAL_KV_CACHE_MB: "0" },
        fresh: true,
        bars: [{ figure: later, of: "ratio", atMost: 0.5 }],
        async run(target, seed) {
          const users = userNames(`preemption-${seed}`, slots * 2);
          await target.connect(users);
          const begin = performance.now();
          const all = users.map((user, index) => {
            const random = randomOf(seed, index);
            const load = { user, conversation: user, words, tokens, random };
            return converse(target, load, turns, () => exponential(random, pauseSeconds * 1000));
          });
          const chats = await Promise.all(all);
          const waits = chats.flatMap((turn) => turn.slice(1)).map(firstTokenMs);
          return { [later]: percentile(waits, 0.5), ...figuresOf(chats.flat(), begin) };
        },
      },
    ];
  },
});
