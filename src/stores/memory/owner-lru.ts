interface Entry<V> {
  readonly owner: string;
  readonly value: V;
  bytes: number;
  pinned: boolean;
}

interface Owner {
  bytes: number;
  /** Least recently used first. */
  readonly keys: Set<string>;
}

/**
 * A map that counts bytes and makes room fairly: what goes is the least recently used entry of the owner who holds the
 * most. So the flood of one owner evicts that owner's own entries and never those of a smaller one.
 * Pinned entries stay.
 */
export class OwnerLru<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #owners = new Map<string, Owner>();
  readonly #budget: number;
  readonly #evicted: (key: string, value: V) => void;
  #bytes = 0;

  /** `budget` in bytes; `evicted` is told of entries that made room, not of those that were deleted. */
  constructor(budget: number, evicted: (key: string, value: V) => void = () => {}) {
    this.#budget = budget;
    this.#evicted = evicted;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, now the most recently used of its owner. */
  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const keys = (this.#owners.get(entry.owner) as Owner).keys;
    keys.delete(key);
    keys.add(key);
    return entry.value;
  }

  /** The value, without a change of order. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Adds an entry that must not exist yet. It does not evict: call {@link shrink}. */
  add(key: string, owner: string, value: V, bytes: number, pinned = false): void {
    this.#entries.set(key, { owner, value, bytes, pinned });
    let holder = this.#owners.get(owner);
    if (holder === undefined) this.#owners.set(owner, (holder = { bytes: 0, keys: new Set() }));
    holder.keys.add(key);
    holder.bytes += bytes;
    this.#bytes += bytes;
  }

  /** Changes the size of an entry by `delta` bytes. */
  grow(key: string, delta: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.bytes += delta;
    (this.#owners.get(entry.owner) as Owner).bytes += delta;
    this.#bytes += delta;
  }

  pin(key: string, pinned: boolean): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.pinned = pinned;
  }

  delete(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
    const holder = this.#owners.get(entry.owner) as Owner;
    holder.keys.delete(key);
    holder.bytes -= entry.bytes;
    if (holder.keys.size === 0) this.#owners.delete(entry.owner);
    return entry.value;
  }

  /** Bytes that an owner holds. */
  bytesOf(owner: string): number {
    return this.#owners.get(owner)?.bytes ?? 0;
  }

  /**
   * Evicts until the budget has room for `incoming` bytes more; false when only pinned entries are left. The bytes that
   * come count as held by `owner` already, so that who asks for room never takes it from one who holds as much.
   */
  shrink(incoming = 0, owner?: string): boolean {
    const exhausted = new Set<string>();
    while (this.#bytes + incoming > this.#budget) {
      const heaviest = this.#heaviest(exhausted, incoming, owner);
      if (heaviest === undefined) return false;
      if (!this.#evictOldest(heaviest)) exhausted.add(heaviest);
    }
    return true;
  }

  // A scan over owners: evictions are rare beside reads and writes, and an ordered index would cost each write.
  #heaviest(except: ReadonlySet<string>, incoming: number, comer?: string): string | undefined {
    let heaviest: string | undefined;
    let most = -1;
    for (const [owner, { bytes }] of this.#owners) {
      const held = owner === comer ? bytes + incoming : bytes;
      if (held > most && !except.has(owner)) {
        heaviest = owner;
        most = held;
      }
    }
    return heaviest;
  }

  #evictOldest(owner: string): boolean {
    for (const key of (this.#owners.get(owner) as Owner).keys) {
      if ((this.#entries.get(key) as Entry<V>).pinned) continue;
      const value = this.delete(key) as V;
      this.#evicted(key, value);
      return true;
    }
    return false;
  }
}
