// A prompt that takes longer by itself is a long one: who sends it expects to wait. Not so who sends a message of some lines, however
// slow the machine is.
const SHORT_MS = 1000;
const SHORT_TOKENS = 200;

interface Prompt {
  /** Tokens left. */
  readonly remaining: number;
  /** Tokens that it had left when it began: the end of a long prompt is no short one. */
  readonly work: number;
  /** Nobody waits for it. */
  readonly background: boolean;
}

/** Those with the least left first, background jobs last. */
export function shortestFirst<T extends Prompt>(prompts: readonly T[]): T[] {
  return prompts.toSorted((a, b) => Number(a.background) - Number(b.background) || a.remaining - b.remaining);
}

// One short prompt counts twice as much as all who generate together; two or more, five times. More for more of them would make the
// time between two tokens of those who have begun grow with each that comes. Long ones, any number of them, count two
// and a half times.
const STRETCH = 3;
const CROWD_STRETCH = 6;
const LONG_STRETCH = 3.5;

/** What prompts ask of a step. */
export interface Demand {
  /** How many of them somebody waits for who expects an answer soon. */
  readonly short: number;
  /** How many times as long as a step of those who generate it is when prompts have their part of it; ≥ 1. */
  readonly stretch: number;
}

/** What these prompts ask for, where each token takes so long. */
export function demandOf(prompts: readonly Prompt[], tokenMs: number): Demand {
  const awaited = prompts.filter(({ background }) => !background);
  const most = Math.max(SHORT_TOKENS, SHORT_MS / tokenMs);
  const short = awaited.filter(({ work }) => work <= most).length;
  if (short > 1) return { short, stretch: CROWD_STRETCH };
  if (awaited.length > short) return { short, stretch: LONG_STRETCH };
  return { short, stretch: short > 0 ? STRETCH : 1 };
}

/** So many steps in a row have both prompts and those who generate, then one is without prompts. */
const MAX_MIXED = 8;

/** Who takes part in a step. */
export interface Parts<T extends Prompt> {
  /** How many that generate: all, or 0. */
  readonly generating: number;
  /** In the order of service. */
  readonly prompts: readonly T[];
  /** See {@link Demand}. */
  readonly stretch: number;
}

/**
 * Who takes part in a step, those who generate or prompts or both.
 *
 * Where a step of those who generate takes most of the longest one by itself (many slots, a slow machine), or many prompts came
 * at once, the longest step leaves prompts less than their parts, and those who wait for their first token would wait for as long as
 * the others talk. Those who generate then leave out as many steps as keep them to their part.
 *
 * Of a step with both nobody can tell what took how long. Where one follows the other, prompts now and then leave out one, which shows
 * what those who generate take; else a cost of theirs would count as one of prompts, and they would have far more than their part.
 *
 * Pure; times in milliseconds.
 */
export class DecodePauses {
  readonly #maxTickMs: number;
  /** What those who generate have had beyond their part, in the time it should have come with, since short prompts wait. */
  #aheadMs = 0;
  #steps = 0;
  /** Of the prompts that the present step could process. */
  #demand: Demand = demandOf([], 0);
  /** Steps with both since one without prompts. */
  #mixed = 0;

  /** @param maxTickMs the longest step; where it suffices those who generate leave out none */
  constructor(maxTickMs: number) {
    this.#maxTickMs = maxTickMs;
  }

  /**
   * @param drawing how many generate
   * @param oldestFirst the prompts that could be processed
   * @param tokenMs what a prompt token takes
   */
  next<T extends Prompt>(drawing: number, oldestFirst: readonly T[], tokenMs: number): Parts<T> {
    this.#demand = demandOf(oldestFirst, tokenMs);
    const { short, stretch } = this.#demand;
    const paused = drawing > 0 && short > 0 && this.#aheadMs > 0;
    const generating = paused ? 0 : drawing;
    if (generating > 0 && this.#mixed >= MAX_MIXED) return { generating, prompts: [], stretch };
    // In turns: a short message does not wait until the long texts of others are done, nor they for ever. Steps are left out
    // for short ones alone.
    const shortest = paused || this.#steps % 2 === 1;
    return { generating, prompts: shortest ? shortestFirst(oldestFirst) : oldestFirst, stretch };
  }

  /** The step that was planned last took `ms`, about `generatingMs` of it for those who generate, beside so many prompt tokens. */
  step(ms: number, generatingMs: number, promptTokens: number): void {
    const { short, stretch } = this.#demand;
    this.#steps++;
    if (generatingMs > 0) this.#mixed = promptTokens > 0 ? this.#mixed + 1 : 0;
    const part = generatingMs * stretch;
    const owed = generatingMs === 0 ? -ms : Math.max(0, part - Math.max(ms, this.#maxTickMs));
    // What they have left out beyond a step is not given back.
    this.#aheadMs = short > 0 ? Math.max(-ms, this.#aheadMs + owed) : 0;
  }
}
