interface Entry<V> {
  readonly key: string;
  readonly owner: Owner<V>;
  readonly value: V;
  bytes: number;
  pinned: boolean;
  /** Neighbours in the owner's list. */
  older: Entry<V> | null;
  newer: Entry<V> | null;
}

/** An owner with a linked list of its entries. Most owners have one entry, so a table for each would cost too much. */
interface Owner<V> {
  readonly name: string;
  bytes: number;
  /** Least recently used. */
  oldest: Entry<V> | null;
  newest: Entry<V> | null;
}

/**
 * A map with a byte budget and fair eviction: it evicts the least recently used entry of the owner that holds the most
 * bytes. So a flood by one owner evicts its own entries and never those of a smaller owner. Pinned entries are never
 * evicted.
 */
export class OwnerLru<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #owners = new Map<string, Owner<V>>();
  readonly #budget: number;
  readonly #evicted: (key: string, value: V) => void;
  #bytes = 0;

  /** `budget` is in bytes. `evicted` is called for evicted entries, not for deleted ones. */
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

  /** The value; it becomes the most recently used one of its owner. */
  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.newer !== null) {
      unlink(entry);
      append(entry);
    }
    return entry.value;
  }

  /** The value; the order does not change. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Adds an entry; its key must not exist yet. Does not evict: call {@link shrink}. */
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

  /** Bytes held by an owner. */
  bytesOf(owner: string): number {
    return this.#owners.get(owner)?.bytes ?? 0;
  }

  /**
   * Evicts until `incoming` more bytes fit the budget; false when only pinned entries are left. The incoming bytes
   * count as already held by `owner`, so that a request never evicts entries of another owner that holds as much.
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

  // Scans all owners: evictions are rare compared with writes, and an ordered index would slow down every write.
  #heaviest(except: ReadonlySet<string>, incoming: number, incomingOwner?: string): string | undefined {
    let heaviest: string | undefined;
    let heaviestBytes = -1;
    for (const [owner, { bytes }] of this.#owners) {
      const held = owner === incomingOwner ? bytes + incoming : bytes;
      if (held > heaviestBytes && !except.has(owner)) {
        heaviest = owner;
        heaviestBytes = held;
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
