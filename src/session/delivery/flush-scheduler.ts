import type { Clock } from "../../core/clock.ts";
import type { EventLoop } from "../../core/event-loop.ts";

/** An object with unsent output. */
export interface Flushable {
  /** Writes the output. Must not throw. */
  flush(): void;
}

/** Maximum time that text is held back, in milliseconds: a delay that a reader does not notice. */
export const MAX_WINDOW_MS = 50;

/** Busy share of the event loop up to which every turn ends with a flush. */
const IDLE_SHARE = 0.6;

/** Busy share of the event loop from which the window has its maximum. */
const FULL_SHARE = 0.95;

/** Milliseconds between two samples of the busy share: cheap, and fast enough to follow a burst. */
const SAMPLE_MS = 100;

/** Maximum flushes in one turn, so that inbound frames are not delayed; the others follow in the next turn. */
const MAX_FLUSHES_PER_TURN = 512;

/** The window that fits a busy share of the loop, in milliseconds. */
export function windowFor(busyShare: number): number {
  const share = (busyShare - IDLE_SHARE) / (FULL_SHARE - IDLE_SHARE);
  return MAX_WINDOW_MS * Math.min(Math.max(share, 0), 1);
}

/**
 * Decides when sessions write. Text that arrives during one turn of the event loop, for any number of sockets, is
 * written at the end of that turn. On an idle loop that is one frame per token. As the loop fills up, flushes of text
 * are at least a window of up to {@link MAX_WINDOW_MS} apart: fewer and larger frames lower the load.
 */
export class FlushScheduler {
  readonly #clock: Clock;
  readonly #loop: EventLoop;
  readonly #flush = (): void => this.#flushDue();
  readonly #flushNow = (): void => this.#flushUrgent();
  #due: Flushable[] = [];
  #scheduled = false;
  #urgent: Flushable[] = [];
  #windowMs = 0;
  #flushedAt = -Infinity;
  #sampledAt = -Infinity;

  constructor(clock: Clock, loop: EventLoop) {
    this.#clock = clock;
    this.#loop = loop;
  }

  /** Current minimum time between two flushes of text, in milliseconds; 0: a flush in every turn. */
  get windowMs(): number {
    return this.#windowMs;
  }

  /** Schedules a flush of `item`. The caller must not add it again before that flush. */
  add(item: Flushable): void {
    this.#due.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#windowMs === 0 ? 0 : this.#flushedAt + this.#windowMs - this.#clock.now();
    // Timers have a resolution of one millisecond.
    if (wait < 1) this.#loop.atEndOfTurn(this.#flush);
    else this.#clock.after(wait, this.#flush);
  }

  /** Schedules a flush of `item` at the end of this turn, for frames that would not grow by waiting. */
  addUrgent(item: Flushable): void {
    if (this.#urgent.push(item) === 1) this.#loop.atEndOfTurn(this.#flushNow);
  }

  #flushUrgent(): void {
    const items = this.#urgent;
    this.#urgent = [];
    for (const item of items) item.flush();
  }

  #flushDue(): void {
    const now = this.#clock.now();
    this.#flushedAt = now;
    if (now - this.#sampledAt >= SAMPLE_MS) this.#sample(now);
    this.#scheduled = false;
    const items = this.#due;
    this.#due = [];
    if (items.length > MAX_FLUSHES_PER_TURN) {
      this.#due = items.splice(MAX_FLUSHES_PER_TURN);
      this.#scheduled = true;
      this.#loop.atEndOfTurn(this.#flush);
    }
    for (const item of items) item.flush();
  }

  #sample(now: number): void {
    this.#sampledAt = now;
    // Half a step: a longer window lowers the load that caused it, so a full step would oscillate.
    const next = (this.#windowMs + windowFor(this.#loop.busyShare())) / 2;
    this.#windowMs = next < 1 ? 0 : next;
  }
}
