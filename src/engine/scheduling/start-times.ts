/**
 * Returns when each waiting request gets a slot, in milliseconds from now. The next request takes the slot that
 * becomes free first.
 *
 * @param freeIn milliseconds until each slot is free
 * @param holds milliseconds for which each waiting request will hold its slot, in the order of service
 */
export function startTimes(freeIn: readonly number[], holds: readonly number[]): number[] {
  // A binary heap of the times at which slots become free, lowest first. A sorted array is such a heap.
  const heap = freeIn.toSorted((a, b) => a - b);
  return holds.map((hold) => {
    const start = heap[0] ?? 0;
    heap[0] = start + hold;
    sink(heap);
    return start;
  });
}

function sink(heap: number[]): void {
  for (let at = 0; ;) {
    const left = 2 * at + 1;
    const right = left + 1;
    let least = at;
    if (left < heap.length && (heap[left] as number) < (heap[least] as number)) least = left;
    if (right < heap.length && (heap[right] as number) < (heap[least] as number)) least = right;
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least] as number, heap[at] as number];
    at = least;
  }
}
