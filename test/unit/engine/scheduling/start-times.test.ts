import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { startTimes } from "../../../../src/engine/scheduling/start-times.ts";

describe("startTimes", () => {
  it("gives each request the slot that becomes free first", () => {
    expect(startTimes([50, 0, 20], [100, 10, 5, 1])).toEqual([0, 20, 30, 35]);
    expect(startTimes([], [1])).toEqual([0]);
  });

  it("agrees with a linear search for the first free slot", () => {
    const times = fc.array(fc.nat(1000), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(times, fc.array(fc.nat(500), { maxLength: 40 }), (freeIn, holds) => {
        const slots = [...freeIn];
        const expected = holds.map((hold) => {
          const start = Math.min(...slots);
          slots[slots.indexOf(start)] = start + hold;
          return start;
        });
        expect(startTimes(freeIn, holds)).toEqual(expected);
      }),
    );
  });
});
