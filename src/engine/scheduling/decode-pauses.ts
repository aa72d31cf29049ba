/** Longest processing time of a short prompt by itself, in milliseconds. Users expect to wait for longer ones. */
const SHORT_MS = 1000;
/** A prompt of up to this many tokens, a message of some lines, is short however slow the machine is. */
const SHORT_TOKENS = 200;

interface Prompt {
  /** Prompt tokens left. */
  readonly remaining: number;
  /** Prompt tokens left when the request got its slot: the end of a long prompt is not a short prompt. */
  readonly work: number;
  /** Whether it is a background job, for which no user waits. */
  readonly background: boolean;
}

/** Sorts prompts by tokens left, shortest first, and background jobs last. */
export function shortestFirst<T extends Prompt>(prompts: readonly T[]): T[] {
  return prompts.toSorted((a, b) => Number(a.background) - Number(b.background) || a.remaining - b.remaining);
}

/** Stretch with one short prompt: it gets twice the time of all generating slots together. See {@link Demand}. */
const STRETCH = 3;
/**
 * Stretch with two or more short prompts: they get five times the time of all generating slots. A stretch that grew
 * with their number would make the time between two tokens of running answers grow with each arrival.
 */
const CROWD_STRETCH = 6;
/** Stretch with any number of long prompts: they get two and a half times the time of all generating slots. */
const LONG_STRETCH = 3.5;

/** Share of a step that prompts should get. */
export interface Demand {
  /** Number of short prompts, without background jobs. */
  readonly short: number;
  /** Length of a step in which prompts get their share, as a multiple of a step without prompts; ≥ 1. */
  readonly stretch: number;
}

/** Returns the demand of these prompts, at `tokenMs` milliseconds per prompt token. */
export function demandOf(prompts: readonly Prompt[], tokenMs: number): Demand {
  const awaited = prompts.filter(({ background }) => !background);
  const maxTokens = Math.max(SHORT_TOKENS, SHORT_MS / tokenMs);
  const short = awaited.filter(({ work }) => work <= maxTokens).length;
  if (short > 1) return { short, stretch: CROWD_STRETCH };
  if (awaited.length > short) return { short, stretch: LONG_STRETCH };
  return { short, stretch: short > 0 ? STRETCH : 1 };
}

/** Longest sequence of steps with both prompts and generating slots; the step after it has no prompts. */
const MAX_MIXED_STEPS = 8;

/** What takes part in a step. */
export interface StepParts<T extends Prompt> {
  /** Number of generating slots that take part: all, or 0. */
  readonly generating: number;
  /** In the order of service. */
  readonly prompts: readonly T[];
  /** See {@link Demand}. */
  readonly stretch: number;
}

/**
 * Decides whether generating slots, prompts or both take part in a step.
 *
 * Where decoding alone takes most of the longest step (many slots, a slow machine), or where many prompts arrive at
 * once, the longest step leaves prompts less than their share. Their first tokens would then be delayed for as long
 * as other answers run. To prevent this, generating slots skip as many steps as limits them to their share.
 *
 * The time of a step with both cannot be split between the two. In a long sequence of such steps, prompts therefore
 * skip one now and then, which shows the time of decoding alone. Otherwise a cost of decoding could be attributed to
 * prompts, and decoding would get far more than its share.
 *
 * No I/O; times are in milliseconds.
 */
export class DecodePauses {
  readonly #maxTickMs: number;
  /** Milliseconds of steps without decoding that prompts are owed, since short prompts began to wait. */
  #aheadMs = 0;
  #steps = 0;
  /** Demand of the prompts that the current step could process. */
  #demand: Demand = demandOf([], 0);
  /** Steps with both prompts and generating slots since the last one without prompts. */
  #mixed = 0;

  /** @param maxTickMs the longest step; where it leaves prompts their share, generating slots skip no step */
  constructor(maxTickMs: number) {
    this.#maxTickMs = maxTickMs;
  }

  /**
   * Decides on the next step.
   *
   * @param drawing number of slots that generate
   * @param oldestFirst the prompts that could be processed
   * @param tokenMs milliseconds per prompt token
   */
  next<T extends Prompt>(drawing: number, oldestFirst: readonly T[], tokenMs: number): StepParts<T> {
    this.#demand = demandOf(oldestFirst, tokenMs);
    const { short, stretch } = this.#demand;
    const paused = drawing > 0 && short > 0 && this.#aheadMs > 0;
    const generating = paused ? 0 : drawing;
    if (generating > 0 && this.#mixed >= MAX_MIXED_STEPS) return { generating, prompts: [], stretch };
    // Alternates between two orders: short messages do not wait until long texts are done, and long texts do not wait
    // for ever. Decoding is paused for short prompts only.
    const shortest = paused || this.#steps % 2 === 1;
    return { generating, prompts: shortest ? shortestFirst(oldestFirst) : oldestFirst, stretch };
  }

  /**
   * Records the step that was planned last.
   *
   * @param ms its length
   * @param generatingMs estimated time of its decoding
   * @param promptTokens prompt tokens that it processed
   */
  step(ms: number, generatingMs: number, promptTokens: number): void {
    const { short, stretch } = this.#demand;
    this.#steps++;
    if (generatingMs > 0) this.#mixed = promptTokens > 0 ? this.#mixed + 1 : 0;
    const fairMs = generatingMs * stretch;
    const owed = generatingMs === 0 ? -ms : Math.max(0, fairMs - Math.max(ms, this.#maxTickMs));
    // Time that decoding has skipped beyond its debt is credited up to one step.
    this.#aheadMs = short > 0 ? Math.max(-ms, this.#aheadMs + owed) : 0;
  }
}
