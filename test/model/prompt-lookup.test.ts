import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CountingMetrics } from "../support/counting-metrics.ts";
import type { Turn } from "../../src/core/fit-prompt.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { startLocalEngine, type LocalEngine } from "../support/local-engine.ts";
import { realModel, skipWithoutRealModel } from "../support/real-model.ts";

const text =
  "The old harbour of Marlow lies at the mouth of a narrow river that winds down from the hills. In the year 1742 a " +
  "merchant named Josiah Penn built the first stone quay, and forty ships called there every month.";
const settings = {
  modelPath: realModel ?? "",
  modelName: "smollm2",
  template: "chatml",
  slots: 2,
  contextTokens: 1024,
};

describe("prompt lookup on SmolLM2-135M-Instruct", () => {
  skipWithoutRealModel();

  const metrics = new CountingMetrics();
  let on: LocalEngine;
  let off: LocalEngine;
  beforeAll(async () => {
    if (realModel === undefined) return;
    on = await startLocalEngine({ settings, metrics });
    off = await startLocalEngine({ settings: { ...settings, lookup: false } });
  });
  afterAll(() => Promise.all([on?.stop(), off?.stop()]));

  const stat = (name: string) => metrics.read(`engine_${name}`);
  /**
   * Below 256 tokens, since from there on llama.cpp computes attention differently for one and for several tokens a
   * step.
   */
  const ask = (engine: LocalEngine, turns: readonly Turn[], sampling: object) =>
    answerOf(engine.provider, chatRequest("", { turns, sampling, maxTokens: 64, conversation: "c" }));

  it.each([1, 1.1])(
    "gives the same answers and usage as without it on every turn, with a repeat penalty of %d",
    async (repeatPenalty) => {
      const sampling = { temperature: 0, repeatPenalty };
      const turns: Turn[] = [{ role: "user", content: `Repeat the following text word for word: ${text}` }];
      for (let turn = 0; turn < 2; turn++) {
        const [looked, plain] = [await ask(on, turns, sampling), await ask(off, turns, sampling)];
        expect(textOf(looked)).toBe(textOf(plain));
        expect(looked.at(-1)).toEqual(plain.at(-1));
        turns.push({ role: "assistant", content: textOf(plain) }, { role: "user", content: "Once more." });
      }
      await expect.poll(() => stat("accepted_tokens_total"), { timeout: 3000 }).toBeGreaterThan(10);
      expect(stat("guessed_tokens_total")).toBeGreaterThanOrEqual(stat("accepted_tokens_total"));
    },
  );

  it("gives the same answer as without it for the same seed", async () => {
    const turns: Turn[] = [{ role: "user", content: `Repeat the following text word for word: ${text}` }];
    const sampling = { temperature: 0.7, seed: 42 };
    expect(textOf(await ask(on, turns, sampling))).toBe(textOf(await ask(off, turns, sampling)));
  });
});
