interface Waiting {
  readonly admit: () => void;
}

/**
 * One request at a time, in order. Those in flight at a death of the engine are all suspected of it: one after the other,
 * the guilty one is alone of them at the next death, and nobody else is in flight at two. Its length is bounded by what
 * was in flight.
 */
export class SuspectLine {
  readonly #waiting: Waiting[] = [];
  #taken = false;

  /** Requests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether the next one has to wait. */
  get busy(): boolean {
    return this.#taken;
  }

  /** Waits for the turn. @returns the way to end it. @throws the signal's reason */
  enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (!this.#taken) {
      this.#taken = true;
      return Promise.resolve(this.#leaveOnce());
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        admit: () => {
          signal.removeEventListener("abort", onAbort);
          resolve(this.#leaveOnce());
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #leaveOnce(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken = false;
      else next.admit();
    };
  }
}
