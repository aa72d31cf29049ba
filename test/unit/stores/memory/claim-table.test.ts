import { describe, expect, it } from "vitest";
import { ClaimTable } from "../../../../src/stores/memory/claim-table.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

describe("ClaimTable", () => {
  it("gives an id to the first frame, joins the same frame, and reports a different one as a conflict", () => {
    const claims = new ClaimTable({ maxIds: 100, reservedShare: 0, clock: new VirtualClock() });
    expect(claims.claim("k", "sub:ada", "hash", "a1")).toEqual({ kind: "new" });
    expect(claims.claim("k", "sub:ada", "hash", "a2")).toEqual({ kind: "join", answer: "a1" });
    expect(claims.claim("k", "sub:ada", "other", "a2")).toEqual({ kind: "conflict" });
    expect(claims.claim("l", "sub:ada", "other", "a2")).toEqual({ kind: "new" });
  });

  it("keeps an id while its answer runs and for exactly its retention time, then removes it", () => {
    const clock = new VirtualClock();
    const claims = new ClaimTable({ maxIds: 100, reservedShare: 0, clock });
    claims.claim("k", "sub:ada", "hash", "a1");
    clock.advance(1e9);
    expect(claims.claim("k", "sub:ada", "hash", "a2").kind).toBe("join");
    claims.settle("k", "a1", 5500);
    clock.advance(5499);
    expect(claims.claim("k", "sub:ada", "other", "a2").kind).toBe("conflict");
    clock.advance(1);
    expect(claims.claim("k", "sub:ada", "other", "a2").kind).toBe("new");
    claims.settle("k", "a2", 100);
    clock.advance(2000);
    expect(claims.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("frees an id at once with a retention time of 0, but only for the answer that holds it", () => {
    const claims = new ClaimTable({ maxIds: 100, reservedShare: 0, clock: new VirtualClock() });
    claims.claim("k", "sub:ada", "hash", "a1");
    claims.settle("k", "another", 0);
    expect(claims.size).toBe(1);
    claims.settle("k", "a1", 0);
    expect(claims.size).toBe(0);
    expect(claims.claim("k", "sub:ada", "other", "a2").kind).toBe("new");
    // A late end of the earlier answer has no effect.
    claims.settle("k", "a1", 0);
    expect(claims.claim("k", "sub:ada", "other", "a3")).toEqual({ kind: "join", answer: "a2" });
  });

  it("does not sweep an id that was claimed again", () => {
    const clock = new VirtualClock();
    const claims = new ClaimTable({ maxIds: 100, reservedShare: 0, clock });
    claims.claim("k", "sub:ada", "hash", "a1");
    claims.settle("k", "a1", 500);
    clock.advance(600);
    claims.claim("k", "sub:ada", "hash", "a2");
    clock.advance(10_000);
    expect(claims.claim("k", "sub:ada", "hash", "a3")).toEqual({ kind: "join", answer: "a2" });
  });
});
