import type { Clock } from "../core/clock.ts";

/** One connected watcher of an answer. */
export interface Watcher {
  /** Reports whether the watcher leaves text unread that is ready for it. */
  setStalled(stalled: boolean): void;
  /** The watcher disconnected. */
  leave(): void;
}

/**
 * Detects an abandoned answer. The timer runs while the answer has no connected watcher or every watcher is stalled
 * (leaves ready text unread), and resets as soon as one reads. A watcher with nothing to read yet is not stalled.
 */
export class AbandonTimer {
  readonly #clock: Clock;
  readonly #abandonMs: number;
  readonly #abandoned: () => void;
  #active = 0;
  #cancelTimer: (() => void) | null = null;
  #closed = false;

  /** `abandoned` is called once, when the timer has run for `abandonMs` milliseconds without a reset. */
  constructor(clock: Clock, abandonMs: number, abandoned: () => void) {
    this.#clock = clock;
    this.#abandonMs = abandonMs;
    this.#abandoned = abandoned;
    this.#arm();
  }

  /** Whether a connected watcher reads the text that is ready for it. */
  get hasActiveWatcher(): boolean {
    return this.#active > 0;
  }

  join(): Watcher {
    let active = true;
    let left = false;
    this.#change(1);
    return {
      setStalled: (stalled) => {
        if (left || stalled !== active) return;
        active = !stalled;
        this.#change(active ? 1 : -1);
      },
      leave: () => {
        if (left) return;
        left = true;
        if (active) this.#change(-1);
      },
    };
  }

  /** Stops the timer permanently; called when the answer ends. */
  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  #change(delta: 1 | -1): void {
    this.#active += delta;
    if (this.#active > 0) this.#disarm();
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
