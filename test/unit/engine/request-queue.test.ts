import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestQueue } from "../../../src/engine/request-queue.ts";

interface Item {
  readonly number: number;
}

describe("RequestQueue", () => {
  it("serves in the order of arrival, within its bound, whatever leaves from the middle", () => {
    const step = fc.oneof(fc.constant("add"), fc.constant("take"), fc.nat(20));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 60 }), (limit, steps) => {
        const queue = new RequestQueue<Item>(limit);
        const model: Item[] = [];
        let next = 0;
        for (const what of steps) {
          if (what === "add") {
            const item = { number: next++ };
            expect(queue.add(item)).toBe(model.length < limit);
            if (model.length < limit) model.push(item);
          } else if (what === "take") expect(queue.take()).toBe(model.shift());
          else {
            const item = model[what];
            if (item) {
              expect(queue.remove(item)).toBe(true);
              expect(queue.remove(item)).toBe(false);
              model.splice(what, 1);
            }
          }
          expect(queue.size).toBe(model.length);
          expect([...queue.values()]).toEqual(model);
        }
      }),
    );
  });
});
