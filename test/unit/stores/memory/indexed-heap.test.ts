import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { IndexedHeap } from "../../../../src/stores/memory/indexed-heap.ts";

interface Item {
  readonly name: number;
  bytes: number;
  heapIndex: number;
}

describe("IndexedHeap", () => {
  it("has the heaviest item at its top after any sequence of changes", () => {
    const step = fc.record({
      act: fc.constantFrom("add", "remove", "change"),
      name: fc.nat({ max: 20 }),
      bytes: fc.nat({ max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new IndexedHeap<Item>();
        const items = Array.from({ length: 21 }, (_, name): Item => ({ name, bytes: 0, heapIndex: -1 }));
        for (const { act, name, bytes } of steps) {
          const item = items[name] as Item;
          if (act === "remove") heap.remove(item);
          else if (act === "change" || item.heapIndex !== -1) {
            item.bytes = bytes;
            heap.moved(item);
          } else heap.add(item);
          const inside = items.filter(({ heapIndex }) => heapIndex !== -1);
          expect(heap.size).toBe(inside.length);
          expect(new Set(inside.map(({ heapIndex }) => heapIndex)).size).toBe(inside.length);
          if (inside.length === 0) expect(heap.top).toBeUndefined();
          else expect(heap.top?.bytes).toBe(Math.max(...inside.map((each) => each.bytes)));
        }
      }),
    );
  });

  it("ignores an item outside of it", () => {
    const heap = new IndexedHeap<Item>();
    const item = { name: 1, bytes: 1, heapIndex: -1 };
    heap.moved(item);
    heap.remove(item);
    expect(heap.top).toBeUndefined();
  });
});
