import type { Clock } from "../core/clock.ts";

/** Milliseconds between two batches. */
const TICK_MS = 50;

/** Minimum number of items per second: a few sockets that reconnect together need no staggering. */
const MIN_PER_SECOND = 100;

/**
 * Calls `each` for every item, in random order and evenly over `ms` milliseconds, so that clients whose sockets are
 * closed do not all reconnect at the same instant. Few items take less time: at least 100 are called per second, the
 * first ones at once.
 */
export function stagger<T>(items: readonly T[], ms: number, clock: Clock, each: (item: T) => void): void {
  const order = shuffled(items);
  const length = Math.min(ms, (order.length * 1000) / MIN_PER_SECOND);
  const began = clock.now();
  let next = 0;
  const tick = (): void => {
    const share = length <= 0 ? 1 : (clock.now() - began + TICK_MS) / length;
    const due = Math.min(order.length, Math.ceil(order.length * share));
    while (next < due) each(order[next++] as T);
    if (next < order.length) clock.after(TICK_MS, tick);
  };
  tick();
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let index = order.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [order[index], order[other]] = [order[other] as T, order[index] as T];
  }
  return order;
}
