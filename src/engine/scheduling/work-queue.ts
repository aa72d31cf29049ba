import { FairQueue, type QueuedJob } from "./fair-queue.ts";

/** Work in pieces, done on the thread of the loop: to tokenize a text, for example. */
export interface Work {
  readonly accountKey: string;
  /** Client of the principal; the clients of one principal share its part equally. */
  readonly client: string;
  /** Share of this principal against others of weight 1; > 0. */
  readonly weight: number;
  /** Expected size in characters. Of two pieces of work of one client, the smaller one is done first, with ageing. */
  readonly size: number;
  /** Done only while no other work waits. */
  readonly background: boolean;
  /** Does the next piece. @returns its size in characters, or undefined when the work is done. Must not throw. */
  next(): number | undefined;
}

/** State of the loop that shares its thread with the queue. */
export interface LoopPace {
  /** Whether no slot is in use. */
  readonly idle: boolean;
  /** Number of steps so far. */
  readonly steps: number;
  /** Smoothed length of a step in milliseconds. */
  readonly tickMs: number;
}

export interface WorkQueueOptions {
  readonly pace: LoopPace;
  /** Background work that may wait; more is dropped. */
  readonly maxBackground: number;
  /** Current time in milliseconds. */
  readonly now: () => number;
  /** Calls back in a later turn of the event loop. */
  readonly defer: (turn: () => void) => void;
}

/** Milliseconds of work in one turn of the event loop: it can delay the end of a native step by this and one piece. */
const TURN_MS = 5;
/** Share of the length of steps that work may take beside them: it takes CPU time from them. */
const STEP_SHARE = 0.25;

interface Queued extends QueuedJob {
  readonly work: Work;
}

/**
 * Does the work of all principals in pieces and in fair shares, on the thread that also handles the results of native
 * steps. Work is bounded per turn of the event loop, and per step while anything runs. The caller bounds how
 * much may wait.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #queue: FairQueue<Queued>;
  readonly #waiting = new Map<Work, Queued>();
  #deferred = false;
  /** Step up to which the credit was computed. */
  #step: number;
  /** Milliseconds that work may take while the loop runs. Below 0 after a piece that took longer. */
  #creditMs = TURN_MS;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#step = options.pace.steps;
    const unbounded = Number.POSITIVE_INFINITY;
    this.#queue = new FairQueue({
      requests: unbounded,
      promptTokens: unbounded,
      background: options.maxBackground,
    });
  }

  /** Work that waits or is partly done. */
  get size(): number {
    return this.#waiting.size;
  }

  /** @returns false for background work that has no place. */
  add(work: Work): boolean {
    const { accountKey, client, weight, size, background } = work;
    const arrivedAt = this.#options.now();
    const queued = { work, accountKey, client, weight, promptTokens: size, arrivedAt, background };
    if (!this.#queue.add(queued)) return false;
    this.#waiting.set(work, queued);
    this.proceed();
    return true;
  }

  /** Drops work that is not done yet; does nothing for other work. */
  cancel(work: Work): void {
    const queued = this.#waiting.get(work);
    if (!queued) return;
    this.#waiting.delete(work);
    this.#queue.remove(queued);
  }

  /** Continues. To be called after each step, and when the loop becomes idle. */
  proceed(): void {
    if (this.#deferred || this.#waiting.size === 0 || this.#leftMs() <= 0) return;
    this.#deferred = true;
    this.#options.defer(() => this.#turn());
  }

  /** Milliseconds that work may take in this turn. */
  #leftMs(): number {
    const { idle, steps, tickMs } = this.#options.pace;
    const perStep = tickMs * STEP_SHARE;
    const earned = this.#creditMs + (steps - this.#step) * perStep;
    this.#creditMs = Math.min(earned, Math.max(TURN_MS, perStep));
    this.#step = steps;
    return idle ? TURN_MS : Math.min(TURN_MS, this.#creditMs);
  }

  #turn(): void {
    this.#deferred = false;
    const { now, pace } = this.#options;
    const from = now();
    const left = this.#leftMs();
    let spent = 0;
    while (spent < left && this.#piece()) spent = now() - from;
    if (!pace.idle) this.#creditMs -= spent;
    this.proceed();
  }

  /** Does one piece of the work of the principal with the least service. @returns false when none waits */
  #piece(): boolean {
    const queue = this.#queue;
    const next = queue.take(1, queue.size === 0);
    if (!next) return false;
    const size = next.work.next();
    if (size !== undefined) {
      queue.charge(next, size);
      // The work may have been cancelled by its own piece.
      if (this.#waiting.has(next.work)) queue.requeue(next);
      else queue.done(next);
    } else {
      this.#waiting.delete(next.work);
      queue.done(next);
    }
    return true;
  }
}
