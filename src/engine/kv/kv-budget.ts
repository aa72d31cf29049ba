interface Entry {
  readonly owner: string;
  readonly bytes: number;
}

/**
 * Decides which stored states fit a budget in bytes. It evicts the least recently used state of an owner that holds at
 * least an equal share, so an owner that stores many states evicts its own. Pure.
 */
export class KvBudget {
  // A Map keeps the order of insertion: the least recently used one is first.
  readonly #entries = new Map<string, Entry>();
  readonly #owners = new Map<string, number>();
  #total = 0;

  get bytes(): number {
    return this.#total;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Marks an entry as the most recently used one. */
  touch(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  /** Adds an entry, or replaces the one with the same key. Does not check any limit; see {@link evictFor}. */
  add(key: string, owner: string, bytes: number): void {
    this.remove(key);
    this.#entries.set(key, { owner, bytes });
    this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + bytes);
    this.#total += bytes;
  }

  remove(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#total -= entry.bytes;
    const left = (this.#owners.get(entry.owner) ?? 0) - entry.bytes;
    if (left > 0) this.#owners.set(entry.owner, left);
    else this.#owners.delete(entry.owner);
  }

  /**
   * Evicts entries until `bytes` more for `owner` fit the limit.
   *
   * @returns the evicted keys; undefined, with nothing evicted, when `bytes` alone exceed the limit.
   */
  evictFor(owner: string, bytes: number, limit: number): string[] | undefined {
    if (bytes > limit) return undefined;
    const removed: string[] = [];
    while (this.#total + bytes > limit) {
      const key = this.#victim(owner, bytes);
      if (key === undefined) break;
      this.remove(key);
      removed.push(key);
    }
    return removed;
  }

  #victim(owner: string, added: number): string | undefined {
    const held = (of: string) => (this.#owners.get(of) ?? 0) + (of === owner ? added : 0);
    const owners = this.#owners.size + (this.#owners.has(owner) ? 0 : 1);
    const equalShare = (this.#total + added) / owners;
    let oldest: string | undefined;
    for (const [key, entry] of this.#entries) {
      oldest ??= key;
      if (held(entry.owner) >= equalShare) return key;
    }
    return oldest;
  }
}
