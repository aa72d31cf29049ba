import { classOf, networksOf, type AccountClass } from "../../core/principal.ts";
import { IndexedHeap, type HeapItem } from "./indexed-heap.ts";

/** An entry that belongs to an {@link Owner}. */
export interface OwnedEntry<V> {
  readonly key: string;
  readonly owner: Owner<V>;
  readonly value: V;
  bytes: number;
  pinned: boolean;
  /** Neighbours in the owner's list; only entries that are not pinned are in it. */
  older: OwnedEntry<V> | null;
  newer: OwnedEntry<V> | null;
}

/** An account, with a linked list of its entries that can be evicted. */
export interface Owner<V> extends HeapItem {
  readonly name: string;
  readonly group: Group<V>;
  /** The class of the account. */
  readonly class: Group<V>;
  /** Bytes of all its entries, pinned ones included. */
  bytes: number;
  entries: number;
  /** Least recently used. */
  oldest: OwnedEntry<V> | null;
  newest: OwnedEntry<V> | null;
}

/** A network of accounts, or a whole class of them. As a heap, it holds the members that have an entry to evict. */
class Group<V> extends IndexedHeap<Group<V> | Owner<V>> implements HeapItem {
  readonly name: string;
  /** The next wider network, or the class; null for a class. */
  readonly group: Group<V> | null;
  heapIndex = -1;
  /** Bytes of all accounts in it. */
  bytes = 0;
  /** Number of accounts and networks directly in it. */
  members = 0;

  constructor(name: string, group: Group<V> | null) {
    super();
    this.name = name;
    this.group = group;
  }
}

/**
 * The accounts that hold entries, grouped by class and, for addresses, by network. The heaviest account of a class is
 * found from the widest network inwards, so all addresses of one network count together.
 * Every operation takes O(log n) of the number of accounts.
 */
export class OwnerTree<V> {
  readonly #owners = new Map<string, Owner<V>>();
  readonly #networks = new Map<string, Group<V>>();
  readonly #classes: Readonly<Record<AccountClass, Group<V>>> = {
    authenticated: new Group<V>("authenticated", null),
    anonymous: new Group<V>("anonymous", null),
  };

  /** Bytes held by all accounts of a class. */
  bytesOfClass(kind: AccountClass): number {
    return this.#classes[kind].bytes;
  }

  /** Bytes held by an account. */
  bytesOf(name: string): number {
    return this.#owners.get(name)?.bytes ?? 0;
  }

  /** The account of this key; a new one is kept once it has an entry, see {@link OwnerTree.prune}. */
  owner(name: string): Owner<V> {
    const known = this.#owners.get(name);
    if (known !== undefined) return known;
    const top = this.#classes[classOf(name)];
    let group = top;
    for (const network of networksOf(name)) group = this.#network(network, group);
    const owner: Owner<V> = {
      name,
      group,
      class: top,
      bytes: 0,
      entries: 0,
      oldest: null,
      newest: null,
      heapIndex: -1,
    };
    group.members++;
    this.#owners.set(name, owner);
    return owner;
  }

  /** Removes an account without entries, and the networks in which no other account is left. */
  prune(owner: Owner<V>): void {
    if (owner.entries > 0) return;
    this.#owners.delete(owner.name);
    let group: Group<V> | null = owner.group;
    while (group !== null && --group.members === 0 && group.group !== null) {
      this.#networks.delete(group.name);
      group = group.group;
    }
  }

  /** Adds `delta` bytes to an account and everything around it. */
  charge(owner: Owner<V>, delta: number): void {
    owner.bytes += delta;
    let member: Group<V> | Owner<V> = owner;
    for (let group: Group<V> | null = owner.group; group !== null; group = group.group) {
      group.moved(member);
      group.bytes += delta;
      member = group;
    }
  }

  /** Protects an entry from eviction. */
  pin(entry: OwnedEntry<V>): void {
    const { owner } = entry;
    entry.pinned = true;
    unlink(entry);
    if (owner.oldest !== null) return;
    let member: Group<V> | Owner<V> = owner;
    for (let group: Group<V> | null = owner.group; group !== null; group = group.group) {
      group.remove(member);
      if (group.size > 0) return;
      member = group;
    }
  }

  /** Makes an entry the most recently used one of those that its account can lose. */
  unpin(entry: OwnedEntry<V>): void {
    const { owner } = entry;
    entry.pinned = false;
    append(entry);
    let member: Group<V> | Owner<V> = owner;
    for (let group: Group<V> | null = owner.group; group !== null; group = group.group) {
      if (member.heapIndex !== -1) return;
      group.add(member);
      member = group;
    }
  }

  /** Marks an entry as the most recently used one of its account. */
  touch(entry: OwnedEntry<V>): void {
    if (entry.newer === null) return;
    unlink(entry);
    append(entry);
  }

  /**
   * The entry of a class to evict next: the least recently used one of the heaviest account in the heaviest network;
   * undefined if all are pinned. `incoming` bytes count as already held by `receiver`.
   */
  nextVictim(kind: AccountClass, incoming: number, receiver: Owner<V>): OwnedEntry<V> | undefined {
    const path = pathTo(receiver);
    let group = this.#classes[kind];
    for (let depth = 1; ; depth++) {
      const { top } = group;
      if (top === undefined) return undefined;
      const own = path[depth];
      const ownWeighsMost = own?.group === group && own.heapIndex !== -1 && own.bytes + incoming >= top.bytes;
      const next = ownWeighsMost ? own : top;
      if ("entries" in next) return next.oldest ?? undefined;
      group = next;
    }
  }

  #network(name: string, group: Group<V>): Group<V> {
    let network = this.#networks.get(name);
    if (network === undefined) {
      network = new Group(name, group);
      group.members++;
      this.#networks.set(name, network);
    }
    return network;
  }
}

/** The class, the networks and the account itself, in this order. */
function pathTo<V>(owner: Owner<V>): readonly (Group<V> | Owner<V>)[] {
  const path: (Group<V> | Owner<V>)[] = [owner];
  for (let group: Group<V> | null = owner.group; group !== null; group = group.group) path.unshift(group);
  return path;
}

function append<V>(entry: OwnedEntry<V>): void {
  const { owner } = entry;
  entry.older = owner.newest;
  entry.newer = null;
  if (owner.newest === null) owner.oldest = entry;
  else owner.newest.newer = entry;
  owner.newest = entry;
}

function unlink<V>(entry: OwnedEntry<V>): void {
  const { owner, older, newer } = entry;
  if (older === null) owner.oldest = newer;
  else older.newer = newer;
  if (newer === null) owner.newest = older;
  else newer.older = older;
  entry.older = entry.newer = null;
}
