import type { Clock } from "../core/clock.ts";

/** One connected watcher of an answer. */
export interface Watcher {
  /** Whether it leaves bytes untaken that are ready for it. */
  setStalled(stalled: boolean): void;
  /** The watcher disconnected. */
  leave(): void;
}

/**
 * The one clock over an answer: it runs while nobody connected watches, or while every watcher leaves ready bytes
 * untaken; it stops as soon as one of them takes them. A connected client that waits is never counted against.
 */
export class AbandonTimer {
  readonly #clock: Clock;
  readonly #abandonMs: number;
  readonly #abandoned: () => void;
  #takers = 0;
  #cancelTimer: (() => void) | null = null;
  #closed = false;

  /** `abandoned` is called once, when the clock has run `abandonMs` without a break. */
  constructor(clock: Clock, abandonMs: number, abandoned: () => void) {
    this.#clock = clock;
    this.#abandonMs = abandonMs;
    this.#abandoned = abandoned;
    this.#arm();
  }

  /** Whether anyone connected watches and takes what is ready. */
  get attended(): boolean {
    return this.#takers > 0;
  }

  join(): Watcher {
    let taking = true;
    let left = false;
    this.#change(1);
    return {
      setStalled: (stalled) => {
        if (left || stalled !== taking) return;
        taking = !stalled;
        this.#change(taking ? 1 : -1);
      },
      leave: () => {
        if (left) return;
        left = true;
        if (taking) this.#change(-1);
      },
    };
  }

  /** The answer ended: the clock stops for good. */
  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  #change(delta: 1 | -1): void {
    this.#takers += delta;
    if (this.#takers > 0) this.#disarm();
    else this.#arm();
  }

  #arm(): void {
    if (this.#closed || this.#cancelTimer !== null) return;
    this.#cancelTimer = this.#clock.after(this.#abandonMs, () => {
      this.#cancelTimer = null;
      this.#closed = true;
      this.#abandoned();
    });
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }
}
