import { classOf } from "../../core/principal.ts";
import { OwnerTree, type OwnedEntry } from "./owner-tree.ts";

/** Budget of an {@link OwnerLru}. */
export interface OwnerLruOptions<V> {
  /** Bytes of all entries, or their number if each counts as one byte. */
  readonly budget: number;
  /**
   * Share of the budget that is kept for each of the two classes of accounts, 0 to 0.5. 0 where only one of them can
   * connect.
   */
  readonly reservedShare: number;
  /** Called for evicted entries, not for deleted ones. */
  readonly evicted?: (key: string, value: V) => void;
}

/**
 * A map with a byte budget and fair eviction. Owners are account keys.
 *
 * - Entries of anonymous accounts are evicted for both classes, those of subjects only for subjects. A share of the budget is
 *   reserved for each class.
 * - Within a class, the network that holds the most bytes loses entries, in it the account that holds the most, and of
 *   its entries the least recently used one. A flood therefore evicts its own entries, even from many addresses of one
 *   network, and never those of a smaller owner.
 * - Pinned entries are never evicted.
 *
 * Every operation takes O(log n) of the number of owners, so that no flood of owners can block the process.
 */
export class OwnerLru<V> {
  readonly #entries = new Map<string, OwnedEntry<V>>();
  readonly #tree = new OwnerTree<V>();
  readonly #budget: number;
  /** Maximum bytes of one class. */
  readonly #classLimit: number;
  readonly #evicted: (key: string, value: V) => void;
  #bytes = 0;

  constructor({ budget, reservedShare, evicted = () => {} }: OwnerLruOptions<V>) {
    this.#budget = budget;
    this.#classLimit = budget - Math.floor(budget * reservedShare);
    this.#evicted = evicted;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Maximum bytes of one class. */
  get classLimit(): number {
    return this.#classLimit;
  }

  /** The value; it becomes the most recently used one of its owner. */
  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#tree.touch(entry);
    return entry.value;
  }

  /** The value; the order does not change. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Adds an entry; its key must not exist yet. Does not evict: call {@link shrink}. */
  add(key: string, owner: string, value: V, bytes: number, pinned = false): void {
    const holder = this.#tree.owner(owner);
    const entry: OwnedEntry<V> = {
      key,
      owner: holder,
      value,
      bytes,
      pinned: true,
      older: null,
      newer: null,
    };
    this.#entries.set(key, entry);
    holder.entries++;
    this.#charge(entry, bytes);
    if (!pinned) this.#tree.unpin(entry);
  }

  /** Changes the size of an entry by `delta` bytes. */
  grow(key: string, delta: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.bytes += delta;
    this.#charge(entry, delta);
  }

  /**
   * Adds `delta` bytes to a pinned entry, and evicts others where needed. Returns false and adds nothing if there is no
   * room. Costs less than {@link shrink} and {@link grow}, as it is called for every token.
   */
  growWithin(key: string, delta: number): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    const { owner } = entry;
    const isCrowded = this.#bytes + delta > this.#budget || owner.class.bytes + delta > this.#classLimit;
    if (isCrowded && !this.shrink(owner.name, delta)) return false;
    entry.bytes += delta;
    this.#charge(entry, delta);
    return true;
  }

  /** Protects an entry from eviction, or ends that; it is then the most recently used one of its owner. */
  pin(key: string, pinned: boolean): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.pinned === pinned) return;
    if (pinned) this.#tree.pin(entry);
    else this.#tree.unpin(entry);
  }

  delete(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (!entry.pinned) this.#tree.pin(entry);
    this.#charge(entry, -entry.bytes);
    entry.owner.entries--;
    this.#tree.prune(entry.owner);
    return entry.value;
  }

  /** Bytes held by an owner. */
  bytesOf(owner: string): number {
    return this.#tree.bytesOf(owner);
  }

  /** Whether entries must be evicted before `incoming` more bytes of `owner` fit; O(1). */
  isCrowded(owner: string, incoming = 0): boolean {
    return this.#bytes + incoming > this.#budget || this.#classIsCrowded(owner, incoming);
  }

  /**
   * Evicts until `incoming` more bytes of `owner` fit; false when only entries are left that cannot be evicted for it.
   * The incoming bytes count as already held, so that a request never evicts entries of another owner that holds as
   * much.
   */
  shrink(owner: string, incoming = 0): boolean {
    if (!this.isCrowded(owner, incoming)) return true;
    const receiver = this.#tree.owner(owner);
    // The receiver may lose its last entry, and is removed at the end at the latest.
    receiver.entries++;
    while (this.isCrowded(owner, incoming)) {
      const ownClass = classOf(owner);
      const other = ownClass === "authenticated" && !this.#classIsCrowded(owner, incoming);
      const victim =
        (other ? this.#tree.nextVictim("anonymous", incoming, receiver) : undefined) ??
        this.#tree.nextVictim(ownClass, incoming, receiver);
      if (victim === undefined) break;
      this.delete(victim.key);
      this.#evicted(victim.key, victim.value);
    }
    receiver.entries--;
    this.#tree.prune(receiver);
    return !this.isCrowded(owner, incoming);
  }

  #classIsCrowded(owner: string, incoming: number): boolean {
    return this.#tree.bytesOfClass(classOf(owner)) + incoming > this.#classLimit;
  }

  #charge(entry: OwnedEntry<V>, delta: number): void {
    this.#tree.charge(entry.owner, delta);
    this.#bytes += delta;
  }
}
