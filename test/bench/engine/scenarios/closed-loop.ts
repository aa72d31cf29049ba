import type { ChatTarget } from "../chat-target.ts";
import type { Bar } from "../load/bars.ts";
import { during, keepAsking, userNames } from "../load/chatting.ts";
import { firstTokenMs, interTokenMs, tokensBetween, workFigures, type Figures } from "../load/figures.ts";
import { percentile } from "../../harness/statistics.ts";
import { randomOf } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW, type Case } from "../scenario.ts";

const RATE = "tokens/s";

interface LoopSizes {
  readonly chats: number;
  readonly words: number;
  readonly tokens: number;
  readonly seconds: number;
}

/** Chats that each send the next message as soon as they have their answer. Measured once all of them are running. */
export async function closedLoop(target: ChatTarget, sizes: LoopSizes, seed: number): Promise<Figures> {
  const { chats, words, tokens, seconds } = sizes;
  const users = userNames("user", chats);
  await target.connect(users);
  const stop = new AbortController();
  const loops = users.map((user, index) => {
    const load = { user, conversation: `${user}-${seed}`, words, tokens };
    return keepAsking(target, { ...load, random: randomOf(seed, index), signal: stop.signal });
  });
  const all = Promise.all(loops);
  await during(all, seconds * 250);
  const from = performance.now();
  await during(all, seconds * 1000);
  const to = performance.now();
  stop.abort();
  const answers = (await all).flat();
  const inside = answers.filter(({ textAt }) => (textAt[0] ?? 0) >= from && (textAt[0] ?? 0) < to);
  const first = inside.map(firstTokenMs);
  const gaps = interTokenMs(answers, from, to);
  return {
    [RATE]: (tokensBetween(answers, from, to) * 1000) / (to - from),
    "first token p50, ms": percentile(first, 0.5),
    "first token p95, ms": percentile(first, 0.95),
    "inter-token p50, ms": percentile(gaps, 0.5),
    "inter-token p99, ms": percentile(gaps, 0.99),
    ...workFigures(answers),
  };
}

function caseOf(chats: number, bar: number, sizes: Omit<LoopSizes, "chats">): Case {
  // Chats that begin together stay in step, so a window of only one or two rounds would measure their phase.
  const seconds = sizes.seconds * Math.max(1, chats / 4);
  const bars: Bar[] = [{ figure: RATE, of: "ratio", atLeast: bar }];
  return {
    name: String(chats),
    spec: { slots: chats, contextTokens: WINDOW, systemPrompt: PLAIN_SYSTEM },
    fresh: false,
    bars,
    run: (target, seed) => closedLoop(target, { ...sizes, chats, seconds }, seed),
  };
}

const full = { words: 75, tokens: 64, seconds: 20 };
const quick = { words: 20, tokens: 8, seconds: 0.5 };

export const closedLoopScenario = defineScenario({
  name: "closed-loop",
  about: "tokens/s of 1, 2, 4, 8, 16 and 32 chats (the cases) that never pause",
  control: "llama-server",
  pairs: 9,
  full,
  quick,
  cases: (sizes) => [
    caseOf(1, 0.85, sizes),
    caseOf(2, 0.95, sizes),
    caseOf(4, 0.95, sizes),
    caseOf(8, 1, sizes),
    caseOf(16, 1, sizes),
    caseOf(32, 1, sizes),
  ],
});

export const freeRunningScenario = defineScenario({
  name: "free-running",
  about: "like closed-loop, with 8, 16 and 32 chats, against loops over node-llama-cpp's evaluate()",
  control: "free-running",
  pairs: 9,
  full,
  quick,
  cases: (sizes) => [8, 16, 32].map((chats) => caseOf(chats, 2, sizes)),
});
