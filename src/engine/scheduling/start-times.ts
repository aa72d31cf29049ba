/**
 * When each of those who wait gets a slot, in milliseconds from now: whoever is next takes the slot that is free first.
 *
 * @param freeIn for each slot, when it is free
 * @param holds for each that waits, in the order of service, how long it holds a slot
 */
export function startTimes(freeIn: readonly number[], holds: readonly number[]): number[] {
  // A binary heap of the slots' times; an array with its least first at index 0.
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
