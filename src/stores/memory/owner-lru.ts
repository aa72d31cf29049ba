interface Entry<V> {
  readonly key: string;
  readonly owner: Owner<V>;
  readonly value: V;
  bytes: number;
  pinned: boolean;
  /** Its neighbours in its owner's list. */
  older: Entry<V> | null;
  newer: Entry<V> | null;
}

/** Most owners have one entry, so its entries are a list by themselves and cost no table. */
interface Owner<V> {
  readonly name: string;
  bytes: number;
  /** Least recently used. */
  oldest: Entry<V> | null;
  newest: Entry<V> | null;
}

/**
 * A map that counts bytes and makes room fairly: what goes is the least recently used entry of the owner who holds the
 * most. So the flood of one owner evicts that owner's own entries and never those of a smaller one.
 * Pinned entries stay.
 */
export class OwnerLru<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #owners = new Map<string, Owner<V>>();
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
    if (entry.newer !== null) {
      unlink(entry);
      append(entry);
    }
    return entry.value;
  }

  /** The value, without a change of order. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Adds an entry that must not exist yet. It does not evict: call {@link shrink}. */
  add(key: string, owner: string, value: V, bytes: number, pinned = false): void {
    let holder = this.#owners.get(owner);
    if (holder === undefined) {
      holder = { name: owner, bytes: 0, oldest: null, newest: null };
      this.#owners.set(owner, holder);
    }
    const entry: Entry<V> = { key, owner: holder, value, bytes, pinned, older: null, newer: null };
    this.#entries.set(key, entry);
    append(entry);
    holder.bytes += bytes;
    this.#bytes += bytes;
  }

  /** Changes the size of an entry by `delta` bytes. */
  grow(key: string, delta: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.bytes += delta;
    entry.owner.bytes += delta;
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
    const { owner } = entry;
    unlink(entry);
    owner.bytes -= entry.bytes;
    if (owner.oldest === null) this.#owners.delete(owner.name);
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
    let entry = this.#owners.get(owner)?.oldest ?? null;
    while (entry?.pinned === true) entry = entry.newer;
    if (entry === null) return false;
    this.delete(entry.key);
    this.#evicted(entry.key, entry.value);
    return true;
  }
}

function append<V>(entry: Entry<V>): void {
  const { owner } = entry;
  entry.older = owner.newest;
  entry.newer = null;
  if (owner.newest === null) owner.oldest = entry;
  else owner.newest.newer = entry;
  owner.newest = entry;
}

function unlink<V>(entry: Entry<V>): void {
  const { owner, older, newer } = entry;
  if (older === null) owner.oldest = newer;
  else older.newer = newer;
  if (newer === null) owner.newest = older;
  else newer.older = older;
}
