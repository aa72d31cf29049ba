import { describe, expect, it } from "vitest";
import { GuessBudget } from "../../../../src/engine/speculation/guess-budget.ts";

/** Runs answers of 200 tokens with guesses whenever they are allowed. @returns the time relative to plain steps. */
function timeOf(answers: number, guess: { ms: number; tokens: number }): number {
  const budget = new GuessBudget();
  let ms = 0;
  for (let answer = 0; answer < answers; answer++) {
    budget.startAnswer();
    for (let tokens = 0; tokens < 200;) {
      if (budget.open) {
        budget.addGuessStep(guess.ms, guess.tokens);
        ms += guess.ms;
        tokens += guess.tokens;
      } else {
        budget.addPlainStep(10);
        ms += 10;
        tokens++;
      }
    }
  }
  return ms / (answers * 2000);
}

describe("GuessBudget", () => {
  it("limits the loss from guesses that are always wrong to 2 %", () => {
    expect(timeOf(20, { ms: 20, tokens: 1 })).toBeLessThan(1.02);
  });

  it("keeps allowing guesses that save time", () => {
    expect(timeOf(20, { ms: 25, tokens: 5 })).toBeLessThan(0.52);
  });

  it("allows no guesses before the first plain step is measured", () => {
    const budget = new GuessBudget();
    budget.startAnswer();
    expect(budget.open).toBe(false);
    budget.addPlainStep(10);
    expect(budget.open).toBe(true);
  });

  it("allows guesses again after some plain steps", () => {
    const budget = new GuessBudget();
    budget.addPlainStep(10);
    budget.addGuessStep(25, 1);
    expect(budget.open).toBe(false);
    for (let step = 0; step < 60; step++) budget.addPlainStep(10);
    expect(budget.open).toBe(true);
  });

  it("stops after a few wrong guesses whatever was gained before", () => {
    const budget = new GuessBudget();
    budget.addPlainStep(10);
    for (let step = 0; step < 1000; step++) budget.addGuessStep(20, 9);
    let wrong = 0;
    for (; budget.open; wrong++) budget.addGuessStep(20, 1);
    expect(wrong).toBeLessThanOrEqual(8);
  });

  it("limits the effect of a single very slow step", () => {
    const budget = new GuessBudget();
    budget.addPlainStep(10);
    budget.addGuessStep(60_000, 4);
    for (let step = 0; step < 400; step++) budget.addPlainStep(10);
    expect(budget.open).toBe(true);
  });
});
