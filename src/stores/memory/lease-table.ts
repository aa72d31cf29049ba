/** Mutual exclusion by key within one process, first come first served. */
export class LeaseTable {
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves when the key is free. The returned function releases it. */
  take(key: string): Promise<() => void> {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      this.#waiting.set(key, []);
      return Promise.resolve(this.#releaser(key));
    }
    return new Promise((resolve) => {
      waiting.push(() => resolve(this.#releaser(key)));
    });
  }

  #releaser(key: string): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#waiting.get(key)?.shift();
      if (next === undefined) this.#waiting.delete(key);
      else next();
    };
  }
}
