import type { Answer, ChatTarget } from "../chat-target.ts";
import { userNames } from "../load/chatting.ts";
import { workFigures, type Figures } from "../load/figures.ts";
import { randomOf, type Random } from "../load/random.ts";
import { defineScenario, PLAIN_SYSTEM, WINDOW, type Case } from "../scenario.ts";

const RATE = "tokens/s";

/** Sentences that a small model can copy. */
const SENTENCES = [
  "The old harbour of Marlow lies at the mouth of a narrow river that winds down from the hills.",
  "In the year 1742 a merchant named Josiah Penn built the first stone quay.",
  "Within a decade more than forty ships called there every month.",
  "They carried wool, salted fish and barrels of cider to the cities of the south.",
  "When the railway came the ships grew fewer, for goods could travel faster over land.",
  "The quay fell silent, and grass grew between its stones.",
  "Today the harbour belongs to small boats and to the people who walk there in the evening.",
  "A museum in the old customs house shows the ledgers of the merchants and the tools of the sailmakers.",
] as const;

/** Questions whose answers cannot be copied from the prompt. */
const QUESTIONS = [
  "How does a bicycle stay upright while it is moving? Explain it to a child.",
  "Write a short story about a lighthouse keeper who finds a letter in a bottle.",
  "What are the five largest cities of France, and what are they known for?",
  "Write a polite email to my landlord about a broken heater.",
  "Why is the sky blue, and why are sunsets red?",
] as const;

interface LookupSizes {
  readonly answers: number;
  readonly tokens: number;
}

type AskOne = (target: ChatTarget, user: string, random: Random, sizes: LookupSizes) => Promise<Answer>;

/** Asks for a copy of the sentences, in a random order. */
function copy(target: ChatTarget, user: string, random: Random, { tokens }: LookupSizes): Promise<Answer> {
  const order = SENTENCES.map((sentence) => ({ sentence, at: random() })).toSorted((a, b) => a.at - b.at);
  const text = order.map(({ sentence }) => sentence).join(" ");
  const content = `Repeat the following text word for word: ${text}`;
  return target.chat({ user, conversation: user, turns: [{ role: "user", content }], maxTokens: tokens });
}

function question(
  target: ChatTarget,
  user: string,
  random: Random,
  { tokens }: LookupSizes,
): Promise<Answer> {
  const content = QUESTIONS[Math.floor(random() * QUESTIONS.length)] ?? QUESTIONS[0];
  return target.chat({ user, conversation: user, turns: [{ role: "user", content }], maxTokens: tokens });
}

/** Tokens per second from the first piece of text on, so that prefill does not count. */
function rateOf(answers: readonly Answer[]): number {
  let tokens = 0;
  let ms = 0;
  for (const { textAt, endAt, usage } of answers) {
    tokens += (usage?.completionTokens ?? 0) - 1;
    ms += endAt - (textAt[0] ?? endAt);
  }
  return (tokens * 1000) / ms;
}

function caseOf(name: string, ask: AskOne, atLeast: number, sizes: LookupSizes): Case {
  return {
    name,
    spec: {
      slots: 1,
      contextTokens: WINDOW,
      systemPrompt: PLAIN_SYSTEM,
      settings: { LOCAL_LOOKUP: "true" },
    },
    controlSettings: { LOCAL_LOOKUP: "false" },
    fresh: false,
    bars: [{ figure: RATE, of: "ratio", atLeast }],
    async run(target, seed): Promise<Figures> {
      const users = userNames(`lookup-${name}-${seed}`, sizes.answers);
      await target.connect(users);
      const answers: Answer[] = [];
      for (const [index, user] of users.entries()) {
        answers.push(await ask(target, user, randomOf(seed, index), sizes));
      }
      return { [RATE]: rateOf(answers), ...workFigures(answers) };
    },
  };
}

export const lookupScenario = defineScenario({
  name: "lookup",
  about: "one chat that copies its prompt or answers a question (the cases): LOCAL_LOOKUP=true against false",
  control: "service",
  pairs: 9,
  needs: ["LOCAL_LOOKUP"],
  full: { answers: 5, tokens: 160 },
  quick: { answers: 1, tokens: 16 },
  cases: (sizes) => [caseOf("copy", copy, 1.5, sizes), caseOf("question", question, 0.98, sizes)],
});
