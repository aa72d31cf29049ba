import { IndexedHeap, type HeapItem } from "./indexed-heap.ts";

interface Entry<V> {
  readonly key: string;
  readonly owner: Owner<V>;
  readonly value: V;
  bytes: number;
  pinned: boolean;
  /** Neighbours in the owner's list; only entries that are not pinned are in it. */
  older: Entry<V> | null;
  newer: Entry<V> | null;
}

/** An owner, with a linked list of its entries that can be evicted. */
interface Owner<V> extends HeapItem {
  readonly name: string;
  /** Bytes of all its entries, pinned ones included. */
  bytes: number;
  entries: number;
  /** Least recently used. */
  oldest: Entry<V> | null;
  newest: Entry<V> | null;
}

/**
 * A map with a byte budget and fair eviction: it evicts the least recently used entry of the owner that holds the most
 * bytes. So a flood by one owner evicts its own entries and never those of a smaller owner. Pinned entries are never
 * evicted. Every operation takes O(log n) of the number of owners, so that no flood of owners can block the process.
 */
export class OwnerLru<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #owners = new Map<string, Owner<V>>();
  /** The owners that have an entry to evict. */
  readonly #evictable = new IndexedHeap<Owner<V>>();
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

  /** Whether the entries exceed the budget. */
  get isOver(): boolean {
    return this.#bytes > this.#budget;
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
      holder = { name: owner, bytes: 0, entries: 0, oldest: null, newest: null, heapIndex: -1 };
      this.#owners.set(owner, holder);
    }
    const entry: Entry<V> = { key, owner: holder, value, bytes, pinned: true, older: null, newer: null };
    this.#entries.set(key, entry);
    holder.entries++;
    this.#charge(entry, bytes);
    if (!pinned) this.#unpin(entry);
  }

  /** Changes the size of an entry by `delta` bytes. */
  grow(key: string, delta: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.bytes += delta;
    this.#charge(entry, delta);
  }

  /** Protects an entry from eviction, or ends that; it is then the most recently used one of its owner. */
  pin(key: string, pinned: boolean): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.pinned === pinned) return;
    if (pinned) this.#pin(entry);
    else this.#unpin(entry);
  }

  delete(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (!entry.pinned) this.#pin(entry);
    this.#charge(entry, -entry.bytes);
    if (--entry.owner.entries === 0) this.#owners.delete(entry.owner.name);
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
    while (this.#bytes + incoming > this.#budget) {
      const entry = this.#heaviest(incoming, owner)?.oldest ?? null;
      if (entry === null) return false;
      this.delete(entry.key);
      this.#evicted(entry.key, entry.value);
    }
    return true;
  }

  #heaviest(incoming: number, incomingOwner?: string): Owner<V> | undefined {
    const { top } = this.#evictable;
    const owner = incomingOwner === undefined ? undefined : this.#owners.get(incomingOwner);
    if (top === undefined || owner === undefined || owner.oldest === null) return top;
    return owner.bytes + incoming >= top.bytes ? owner : top;
  }

  #charge({ owner }: Entry<V>, delta: number): void {
    owner.bytes += delta;
    this.#bytes += delta;
    this.#evictable.moved(owner);
  }

  #pin(entry: Entry<V>): void {
    const { owner } = entry;
    entry.pinned = true;
    unlink(entry);
    if (owner.oldest === null) this.#evictable.remove(owner);
  }

  #unpin(entry: Entry<V>): void {
    const { owner } = entry;
    entry.pinned = false;
    append(entry);
    if (owner.heapIndex === -1) this.#evictable.add(owner);
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
  entry.older = entry.newer = null;
}
