/** Tells work that it should stop: as much of an AbortSignal as is used here, so that each of those is one. */
export interface StopSignal {
  readonly aborted: boolean;
  /** Why; undefined before. */
  readonly reason: unknown;
  /** @throws the reason */
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options: { readonly once: true }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/**
 * A signal that its owner aborts. An AbortController for each answer would do the same, but Node.js makes its signals by
 * changing the prototype of an event target, which costs kilobytes and keeps V8 from optimizing what touches them.
 */
export class Stopper implements StopSignal {
  #aborted = false;
  #reason: unknown = undefined;
  #listeners: readonly (() => void)[] = [];

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  addEventListener(_type: "abort", listener: () => void): void {
    if (!this.#aborted) this.#listeners = [...this.#listeners, listener];
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners = this.#listeners.filter((it) => it !== listener);
  }

  /** Only the first call counts. Calls the listeners at once. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}
