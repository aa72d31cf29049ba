import type { Clock } from "../../core/clock.ts";
import type { EventLoop } from "../../core/event-loop.ts";

/** Something with output that waits to be written. */
export interface Flushable {
  /** Writes what is there. Must not throw. */
  flush(): void;
}

/** Text is held back at most this long, however full the loop is: about what a reader does not see. */
export const MAX_WINDOW_MS = 50;

/** Up to this busy share every turn of the loop is flushed at its end. */
const IDLE_SHARE = 0.6;

/** From this busy share on the window is the longest. */
const FULL_SHARE = 0.95;

/** How often the loop is asked how busy it was: rarely enough to cost nothing, often enough to follow a burst. */
const SAMPLE_MS = 100;

/** More would hold up the frames that come in; the others follow in the next turn. */
const MAX_FLUSHES_PER_TURN = 512;

/** The window that fits a busy share of the loop, in milliseconds. */
export function windowFor(busyShare: number): number {
  const share = (busyShare - IDLE_SHARE) / (FULL_SHARE - IDLE_SHARE);
  return MAX_WINDOW_MS * Math.min(Math.max(share, 0), 1);
}

/**
 * Says when sessions write. What one turn of the event loop brings, of many answers for many sockets, is written at the
 * end of that turn. While the loop has time to spare that is a frame a token; as it fills, flushes of text keep a distance
 * of up to {@link MAX_WINDOW_MS}, so that frames grow larger and fewer and the loop finds time again.
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

  /** The least distance between two flushes at present, in milliseconds; 0: every turn. */
  get windowMs(): number {
    return this.#windowMs;
  }

  /** Has `item` flushed soon. The caller adds an item once until its flush. */
  add(item: Flushable): void {
    this.#due.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#windowMs === 0 ? 0 : this.#flushedAt + this.#windowMs - this.#clock.now();
    // Timers have no finer grain than a millisecond.
    if (wait < 1) this.#loop.atEndOfTurn(this.#flush);
    else this.#clock.after(wait, this.#flush);
  }

  /** Has `item` flushed at the end of this turn in any case: what would not grow by waiting must not wait. */
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
    // Half way: a longer window lowers the load that asked for it, and a full step would swing to and fro.
    const next = (this.#windowMs + windowFor(this.#loop.busyShare())) / 2;
    this.#windowMs = next < 1 ? 0 : next;
  }
}
