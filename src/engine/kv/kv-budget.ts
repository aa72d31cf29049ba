interface Entry {
  readonly owner: string;
  readonly bytes: number;
}

/**
 * Which stored states stay within a number of bytes. The least recently used one makes room, but only among the
 * states of those who hold more than an equal part: a flood evicts its own. Pure.
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

  /** Marks as used just now. */
  touch(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  /** Takes the place of an entry of the same key. May exceed any limit; see {@link makeRoom}. */
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
   * Removes entries until `bytes` more of `owner` are within `limit`. @returns the keys removed, or undefined, with
   * nothing removed, when they can never fit.
   */
  makeRoom(owner: string, bytes: number, limit: number): string[] | undefined {
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

  #victim(owner: string, coming: number): string | undefined {
    const held = (of: string) => (this.#owners.get(of) ?? 0) + (of === owner ? coming : 0);
    const owners = this.#owners.size + (this.#owners.has(owner) ? 0 : 1);
    const equalPart = (this.#total + coming) / owners;
    let oldest: string | undefined;
    for (const [key, entry] of this.#entries) {
      oldest ??= key;
      if (held(entry.owner) >= equalPart) return key;
    }
    return oldest;
  }
}
