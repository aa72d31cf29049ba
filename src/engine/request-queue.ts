/**
 * Requests that wait for a slot, first come first served, with a bound. Positions count from 1 = next.
 * The order is this class's own affair: whoever replaces it decides who is next.
 */
export class RequestQueue<T extends object> {
  readonly limit: number;
  // A Set keeps the order of insertion and removes from the middle in constant time.
  private readonly items = new Set<T>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.items.size;
  }

  /** @returns false when the queue is full. */
  add(item: T): boolean {
    if (this.items.size >= this.limit) return false;
    this.items.add(item);
    return true;
  }

  /** The next one, which leaves the queue. */
  take(): T | undefined {
    const next = this.peek();
    if (next !== undefined) this.items.delete(next);
    return next;
  }

  peek(): T | undefined {
    for (const item of this.items) return item;
    return undefined;
  }

  /** @returns whether it was waiting. */
  remove(item: T): boolean {
    return this.items.delete(item);
  }

  /** In the order of service. */
  values(): Iterable<T> {
    return this.items;
  }
}
