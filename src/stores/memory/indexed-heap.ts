/** An item of an {@link IndexedHeap}. The heap alone writes `heapIndex`; it is -1 outside of the heap. */
export interface HeapItem {
  heapIndex: number;
  /** The item with the highest weight is at the top. Call {@link IndexedHeap.moved} after each change. */
  readonly bytes: number;
}

/** A binary heap whose items store their index, so that any of them can be moved or removed in O(log n). */
export class IndexedHeap<T extends HeapItem> {
  #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item with the highest weight; undefined if the heap is empty. */
  get top(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item that is not in the heap. */
  add(item: T): void {
    if (this.#items.length === 0) {
      // Most heaps of networks have one item. An array literal reserves no space for more.
      this.#items = [item];
      item.heapIndex = 0;
      return;
    }
    this.#place(item, this.#items.length);
    this.#rise(item);
  }

  /** Restores the order after the weight of an item changed; does nothing for an item outside of the heap. */
  moved(item: T): void {
    if (item.heapIndex === -1) return;
    this.#rise(item);
    this.#sink(item);
  }

  /** Removes an item; does nothing for an item outside of the heap. */
  remove(item: T): void {
    const index = item.heapIndex;
    if (index === -1) return;
    const last = this.#items.pop() as T;
    item.heapIndex = -1;
    if (last === item) return;
    this.#place(last, index);
    this.moved(last);
  }

  #place(item: T, index: number): void {
    this.#items[index] = item;
    item.heapIndex = index;
  }

  #rise(item: T): void {
    let index = item.heapIndex;
    while (index > 0) {
      const parent = this.#items[(index - 1) >> 1] as T;
      if (parent.bytes >= item.bytes) break;
      const parentIndex = parent.heapIndex;
      this.#place(parent, index);
      index = parentIndex;
    }
    this.#place(item, index);
  }

  #sink(item: T): void {
    let index = item.heapIndex;
    for (;;) {
      const left = this.#items[2 * index + 1];
      const right = this.#items[2 * index + 2];
      const heavier = right !== undefined && left !== undefined && right.bytes > left.bytes ? right : left;
      if (heavier === undefined || heavier.bytes <= item.bytes) break;
      const heavierIndex = heavier.heapIndex;
      this.#place(heavier, index);
      index = heavierIndex;
    }
    this.#place(item, index);
  }
}
