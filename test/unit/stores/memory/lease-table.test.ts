import { describe, expect, it } from "vitest";
import { LeaseTable } from "../../../../src/stores/memory/lease-table.ts";
import { settle } from "../../../support/virtual-clock.ts";

describe("LeaseTable", () => {
  it("leases a key to one holder at a time, in order, and different keys in parallel", async () => {
    const leases = new LeaseTable();
    const log: string[] = [];
    const releases = new Map<string, () => void>();
    for (const [name, key] of [
      ["a", "k"],
      ["b", "k"],
      ["c", "k"],
      ["d", "l"],
    ] as const) {
      void leases.take(key).then((release) => {
        log.push(name);
        releases.set(name, release);
      });
    }
    await settle();
    expect(log).toEqual(["a", "d"]);
    releases.get("a")?.();
    await settle();
    expect(log).toEqual(["a", "d", "b"]);
    // A second release has no effect on the next holder.
    releases.get("a")?.();
    await settle();
    expect(log).toEqual(["a", "d", "b"]);
    releases.get("b")?.();
    await settle();
    releases.get("c")?.();
    await settle();
    expect(log).toEqual(["a", "d", "b", "c"]);
    const again = await leases.take("k");
    again();
  });
});
