import type { Clock } from "../core/clock.ts";

/** Between two batches. */
const TICK_MS = 50;

/** Fewer a second are no stampede, so a few sockets need not wait for their turn. */
const LEAST_PER_SECOND = 100;

/**
 * Calls `each` for every item, in random order and evenly over `ms`: sockets that are closed so do not all come back in
 * one instant. Few items take less time: at least 100 a second are called, the first ones at once.
 */
export function stagger<T>(items: readonly T[], ms: number, clock: Clock, each: (item: T) => void): void {
  const order = shuffled(items);
  const length = Math.min(ms, (order.length * 1000) / LEAST_PER_SECOND);
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
