import { describe, expect, it } from "vitest";
import { GuessBudget } from "../../../../src/engine/speculation/guess-budget.ts";

/** Answers of 200 tokens; guesses are tried whenever they may. @returns the time taken, by that without guesses. */
function timeOf(answers: number, guess: { ms: number; tokens: number }): number {
  const budget = new GuessBudget();
  let ms = 0;
  for (let answer = 0; answer < answers; answer++) {
    budget.begin();
    for (let tokens = 0; tokens < 200;) {
      if (budget.open) {
        budget.guessed(guess.ms, guess.tokens);
        ms += guess.ms;
        tokens += guess.tokens;
      } else {
        budget.plain(10);
        ms += 10;
        tokens++;
      }
    }
  }
  return ms / (answers * 2000);
}

describe("GuessBudget", () => {
  it("bounds what guesses lose that are always wrong", () => {
    expect(timeOf(20, { ms: 20, tokens: 1 })).toBeLessThan(1.02);
  });

  it("lets guesses go on that pay", () => {
    expect(timeOf(20, { ms: 25, tokens: 5 })).toBeLessThan(0.52);
  });

  it("tries nothing before it knows what a plain step takes", () => {
    const budget = new GuessBudget();
    budget.begin();
    expect(budget.open).toBe(false);
    budget.plain(10);
    expect(budget.open).toBe(true);
  });

  it("tries again after a while", () => {
    const budget = new GuessBudget();
    budget.plain(10);
    budget.guessed(25, 1);
    expect(budget.open).toBe(false);
    for (let step = 0; step < 60; step++) budget.plain(10);
    expect(budget.open).toBe(true);
  });

  it("does not let past gains pay for more than a few wrong guesses", () => {
    const budget = new GuessBudget();
    budget.plain(10);
    for (let step = 0; step < 1000; step++) budget.guessed(20, 9);
    let wrong = 0;
    for (; budget.open; wrong++) budget.guessed(20, 1);
    expect(wrong).toBeLessThanOrEqual(8);
  });

  it("takes one hiccup of the machine for no more than a few steps", () => {
    const budget = new GuessBudget();
    budget.plain(10);
    budget.guessed(60_000, 4);
    for (let step = 0; step < 400; step++) budget.plain(10);
    expect(budget.open).toBe(true);
  });
});
