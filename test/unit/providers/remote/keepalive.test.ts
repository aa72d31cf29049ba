import { describe, expect, it } from "vitest";
import { Keepalive } from "../../../../src/providers/remote/keepalive.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

describe("Keepalive", () => {
  it("gives a part of its own for each second without text, so that each is sent", () => {
    const clock = new VirtualClock();
    const keepalive = new Keepalive(clock, 12);
    expect(keepalive.sign()).toBeNull();
    clock.advance(1000);
    const first = keepalive.sign();
    expect(first).toEqual({ type: "progress", processed: 12, total: 12 });
    expect(keepalive.sign()).toBeNull();
    clock.advance(1000);
    const second = keepalive.sign();
    expect(second).toEqual(first);
    expect(second).not.toBe(first);
  });

  it("gives none for a second after text", () => {
    const clock = new VirtualClock();
    const keepalive = new Keepalive(clock, 12);
    clock.advance(900);
    keepalive.beat();
    clock.advance(900);
    expect(keepalive.sign()).toBeNull();
  });
});
