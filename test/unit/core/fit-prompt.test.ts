import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ServiceError } from "../../../src/core/errors.ts";
import {
  FILL_AFTER_CUT,
  fitPrompt,
  systemMessage,
  type FitInput,
  type Turn,
} from "../../../src/core/fit-prompt.ts";

const OVERHEAD = 4;
const countTokens = (text: string) => text.length;

/** Turns of these sizes in tokens, alternating user and assistant. */
function turnsOf(sizes: readonly number[]): Turn[] {
  return sizes.map((size, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content: "x".repeat(size),
  }));
}

function fit(sizes: readonly number[], changes: Partial<FitInput> = {}) {
  return fitPrompt({
    system: "",
    turns: turnsOf(sizes),
    windowTokens: 1000,
    outputTokens: 200,
    countTokens,
    overheadPerMessage: OVERHEAD,
    ...changes,
  });
}

function tokensOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, { content }) => sum + content.length + OVERHEAD, 0);
}

/** Whole exchanges and a last message; no single one exceeds the prompt space. */
const history = fc
  .array(fc.integer({ min: 0, max: 300 }), { minLength: 0, maxLength: 40 })
  .map((sizes) => (sizes.length % 2 === 0 ? [...sizes, 10] : sizes));

describe("systemMessage", () => {
  it("joins system text and context, and omits an empty one", () => {
    expect(systemMessage("Be brief.", "I am Ada.")).toBe("Be brief.\n\nContext from the user:\nI am Ada.");
    expect(systemMessage("", "I am Ada.")).toBe("Context from the user:\nI am Ada.");
    expect(systemMessage("Be brief.", null)).toBe("Be brief.");
    expect(systemMessage("Be brief.", "")).toBe("Be brief.");
    expect(systemMessage("", null)).toBe("");
  });
});

describe("fitPrompt", () => {
  it("keeps all turns up to the exact limit", () => {
    // 3 turns with their overhead take 800 tokens: the window less the output.
    const fitted = fit([300, 300, 188]);
    expect(fitted).toMatchObject({ droppedTurns: 0, promptTokens: 800 });
    expect(fit([300, 300, 189]).droppedTurns).toBe(2);
  });

  it("cuts to at most 60 % of the window once the prompt exceeds it", () => {
    const fitted = fit([100, 100, 100, 100, 100, 100, 100, 100, 100]);
    expect(FILL_AFTER_CUT).toBe(0.6);
    expect(fitted.promptTokens).toBe(5 * 104);
    expect(fitted.droppedTurns).toBe(4);
  });

  it("counts the system text with its overhead, and nothing for an empty one", () => {
    expect(fit([10], { system: "y".repeat(20) }).promptTokens).toBe(20 + 10 + 2 * OVERHEAD);
    expect(fit([10]).promptTokens).toBe(10 + OVERHEAD);
  });

  it("throws prompt_too_long with the number of tokens and the limit", () => {
    const system = "y".repeat(100);
    let thrown: unknown;
    try {
      fit([10, 10, 697], { system });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ServiceError);
    expect((thrown as ServiceError).code).toBe("prompt_too_long");
    expect((thrown as ServiceError).message).toContain(
      "take at least 805 tokens; this model has room for 800",
    );
    expect((thrown as ServiceError).message).toContain("window 1000 less 200");
    expect(fit([10, 10, 692], { system }).promptTokens).toBe(800);
  });

  it("reports a limit of 0 when the reserve for the answer exceeds the window", () => {
    expect(() => fit([1], { windowTokens: 100, outputTokens: 200 })).toThrow("room for 0 ");
  });

  it("drops an oversized answer together with its question", () => {
    const fitted = fit([10, 900, 10]);
    expect(fitted.droppedTurns).toBe(2);
    expect(fitted.turns).toEqual(turnsOf([10]));
  });

  it("keeps a suffix that starts with a user turn, contains the last message and fits the limit", () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 0, max: 200 }), (sizes, systemTokens) => {
        const turns = turnsOf(sizes);
        const system = "s".repeat(systemTokens);
        const fitted = fit([], { system, turns });
        expect(fitted.turns).toEqual(turns.slice(fitted.droppedTurns));
        expect(fitted.turns[0]?.role).toBe("user");
        expect(fitted.turns.at(-1)).toBe(turns.at(-1));
        const fixed = systemTokens === 0 ? 0 : systemTokens + OVERHEAD;
        expect(fitted.promptTokens).toBe(fixed + tokensOf(fitted.turns));
        expect(fitted.promptTokens).toBeLessThanOrEqual(800);
      }),
    );
  });

  it("only cuts when the prompt exceeds the window, and then down to 60 %", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 250 }), fc.integer({ min: 0, max: 250 })), {
          minLength: 2,
          maxLength: 40,
        }),
        (exchanges) => {
          let before = 0;
          for (let count = 1; count <= exchanges.length; count++) {
            const sizes = exchanges.slice(0, count).flat().slice(0, -1);
            const { droppedTurns, promptTokens } = fit(sizes);
            const uncut = tokensOf(turnsOf(sizes).slice(before));
            if (uncut <= 800) {
              expect(droppedTurns).toBe(before);
            } else {
              expect(droppedTurns).toBeGreaterThan(before);
              // Or to the last message alone, if that takes more.
              const last = (sizes.at(-1) ?? 0) + OVERHEAD;
              expect(promptTokens).toBeLessThanOrEqual(Math.max(600, last));
            }
            before = droppedTurns;
          }
        },
      ),
    );
  });

  it("cuts no more than needed: one more exchange would exceed 60 %", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 30, maxLength: 80 }), (sizes) => {
        const odd = sizes.length % 2 === 0 ? sizes.slice(1) : sizes;
        const { droppedTurns } = fit(odd);
        fc.pre(droppedTurns > 0);
        // Find the first prompt with this cut; with one more exchange it would have exceeded 60 %.
        for (let count = 1; count <= odd.length; count += 2) {
          if (fit(odd.slice(0, count)).droppedTurns !== droppedTurns) continue;
          const kept = turnsOf(odd.slice(0, count)).slice(droppedTurns - 2);
          expect(tokensOf(kept)).toBeGreaterThan(600);
          break;
        }
      }),
    );
  });
});
