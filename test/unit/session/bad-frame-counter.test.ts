import { describe, expect, it } from "vitest";
import { BadFrameCounter } from "../../../src/session/bad-frame-counter.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

describe("BadFrameCounter", () => {
  it("is exceeded by one more than the limit within a minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
    clock.advance(59_999);
    expect(counter.exceeds(3, clock)).toBe(true);
  });

  it("begins anew each minute", () => {
    const clock = new VirtualClock();
    const counter = new BadFrameCounter();
    for (let minute = 0; minute < 5; minute++) {
      for (let index = 0; index < 3; index++) expect(counter.exceeds(3, clock)).toBe(false);
      clock.advance(60_000);
    }
  });
});
