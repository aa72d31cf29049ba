import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { OwnerLru } from "../../../../src/stores/memory/owner-lru.ts";

function make(budget: number, reservedShare = 0) {
  const evicted: string[] = [];
  const lru = new OwnerLru<string>({ budget, reservedShare, evicted: (key) => evicted.push(key) });
  return { lru, evicted };
}

describe("OwnerLru", () => {
  it("evicts the least recently used entry of the owner with the most bytes", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "a", "A1", 3);
    lru.add("a2", "a", "A2", 3);
    lru.add("b1", "b", "B1", 4);
    expect(lru.get("a1")).toBe("A1");
    expect(lru.peek("a2")).toBe("A2");
    expect(lru.shrink("a", 1)).toBe(true);
    expect(evicted).toEqual(["a2"]);
    expect(lru.shrink("new", 7)).toBe(true);
    expect(evicted).toEqual(["a2", "b1"]);
  });

  it("counts incoming bytes as held by their owner, so an equal owner loses nothing", () => {
    const { lru, evicted } = make(10);
    lru.add("quiet", "quiet", "", 5);
    lru.add("flood", "flood", "", 5);
    expect(lru.shrink("flood", 1)).toBe(true);
    expect(evicted).toEqual(["flood"]);
  });

  it("never evicts pinned entries, and returns false when only those are left", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "a", "", 6, true);
    lru.add("b1", "b", "", 3);
    expect(lru.shrink("new", 4)).toBe(true);
    expect(evicted).toEqual(["b1"]);
    expect(lru.shrink("new", 5)).toBe(false);
    lru.pin("a1", false);
    expect(lru.shrink("new", 5)).toBe(true);
    expect(lru.size).toBe(0);
  });

  it("grows a pinned entry at the cost of others, or not at all", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "sub:a", "", 4, true);
    lru.add("b1", "sub:b", "", 4);
    expect(lru.growWithin("a1", 2)).toBe(true);
    expect([lru.bytes, lru.bytesOf("sub:a"), evicted]).toEqual([10, 6, []]);
    expect(lru.growWithin("a1", 4)).toBe(true);
    expect([lru.bytes, lru.bytesOf("sub:a"), evicted]).toEqual([10, 10, ["b1"]]);
    expect(lru.growWithin("a1", 1)).toBe(false);
    expect(lru.growWithin("unknown", 1)).toBe(false);
    expect(lru.bytes).toBe(10);
  });

  it("does not report deleted entries as evicted", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "a", "A1", 6);
    expect(lru.delete("a1")).toBe("A1");
    expect(lru.delete("a1")).toBeUndefined();
    lru.grow("a1", 5);
    expect(lru.bytes).toBe(0);
    expect(evicted).toEqual([]);
  });

  it("counts bytes exactly, keeps its budget, spares pinned entries and never evicts from a smaller owner", () => {
    const step = fc.record({
      act: fc.constantFrom("add", "get", "grow", "delete", "pin", "unpin", "shrink" as const),
      key: fc.nat({ max: 12 }),
      owner: fc.constantFrom("a", "b", "c"),
      bytes: fc.integer({ min: 0, max: 40 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const budget = 100;
        interface Model {
          owner: string;
          bytes: number;
          pinned: boolean;
          used: number;
        }
        const model = new Map<string, Model>();
        let tick = 0;
        const held = (owner: string) =>
          [...model.values()].reduce((sum, each) => sum + (each.owner === owner ? each.bytes : 0), 0);
        let incoming = { owner: "", bytes: 0 };
        const lru = new OwnerLru<string>({
          budget,
          reservedShare: 0,
          evicted: (key, value) => {
            const victim = model.get(key);
            if (victim === undefined) throw new Error(`evicted twice: ${key}`);
            expect(value).toBe(`value of ${key}`);
            expect(victim.pinned).toBe(false);
            const weight = (owner: string) => held(owner) + (owner === incoming.owner ? incoming.bytes : 0);
            for (const each of model.values()) {
              if (each.pinned) continue;
              // No other owner with evictable entries holds more.
              expect(weight(each.owner)).toBeLessThanOrEqual(weight(victim.owner));
              if (each.owner === victim.owner) expect(each.used).toBeGreaterThanOrEqual(victim.used);
            }
            model.delete(key);
          },
        });
        for (const { act, key: number, owner, bytes } of steps) {
          const key = `k${number}`;
          const entry = model.get(key);
          tick++;
          if (act === "add" && entry === undefined) {
            model.set(key, { owner, bytes, pinned: bytes % 5 === 0, used: tick });
            lru.add(key, owner, `value of ${key}`, bytes, bytes % 5 === 0);
          } else if (act === "get") {
            expect(lru.get(key)).toBe(entry && `value of ${key}`);
            if (entry) entry.used = tick;
          } else if (act === "grow" && entry) {
            entry.bytes += bytes;
            lru.grow(key, bytes);
          } else if (act === "delete") {
            expect(lru.delete(key)).toBe(entry && `value of ${key}`);
            model.delete(key);
          } else if ((act === "pin" || act === "unpin") && entry) {
            // An entry whose protection ends counts as just used.
            if (entry.pinned && act === "unpin") entry.used = tick;
            entry.pinned = act === "pin";
            lru.pin(key, entry.pinned);
          } else if (act === "shrink") {
            incoming = { owner, bytes };
            const fits = lru.shrink(owner, bytes);
            const total = [...model.values()].reduce((sum, each) => sum + each.bytes, 0);
            expect(fits).toBe(total + bytes <= budget);
            if (!fits) expect([...model.values()].every(({ pinned }) => pinned)).toBe(true);
          }
          expect(lru.bytes).toBe([...model.values()].reduce((sum, each) => sum + each.bytes, 0));
          expect(lru.size).toBe(model.size);
          for (const each of ["a", "b", "c"]) expect(lru.bytesOf(each)).toBe(held(each));
        }
      }),
    );
  });

  it("never evicts entries of a smaller owner for a flood", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 50, maxLength: 200 }),
        (small, flood) => {
          const { lru, evicted } = make(100);
          small.forEach((bytes, index) => lru.add(`small${index}`, "small", "", bytes));
          flood.forEach((bytes, index) => {
            expect(lru.shrink("flood", bytes)).toBe(true);
            lru.add(`flood${index}`, "flood", "", bytes);
            expect(lru.bytes).toBeLessThanOrEqual(100);
          });
          expect(evicted.filter((key) => key.startsWith("small"))).toEqual([]);
        },
      ),
    );
  });

  describe("with networks of addresses", () => {
    it("evicts from the network that holds most, and in it from the address that holds most", () => {
      const { lru, evicted } = make(12);
      lru.add("alone", "addr:192.0.2.1", "", 4);
      for (const host of [1, 2, 3]) lru.add(`crowd${host}`, `addr:198.51.100.${host}`, "", host);
      lru.add("site1", "addr:2001:db8:1:1::/64", "", 1);
      lru.add("site2", "addr:2001:db8:1:ff00::/64", "", 1);
      expect(lru.shrink("addr:203.0.113.1", 1)).toBe(true);
      expect(evicted).toEqual(["crowd3"]);
      expect(lru.shrink("addr:203.0.113.1", 4)).toBe(true);
      expect(evicted).toEqual(["crowd3", "alone"]);
    });

    it("counts incoming bytes for the whole network of a new address", () => {
      const { lru, evicted } = make(10);
      lru.add("quiet", "addr:192.0.2.1", "", 5);
      lru.add("flood", "addr:2001:db8:1:1::/64", "", 5);
      expect(lru.shrink("addr:2001:db8:1:2::/64", 1)).toBe(true);
      expect(evicted).toEqual(["flood"]);
    });

    it("never evicts from a network that holds less than the flood, and counts bytes exactly", () => {
      const address = fc.record({ site: fc.nat({ max: 3 }), part: fc.nat({ max: 600 }) });
      const quiet = fc.record({ host: fc.nat({ max: 255 }), bytes: fc.integer({ min: 1, max: 6 }) });
      fc.assert(
        fc.property(
          fc.array(quiet, { maxLength: 8, size: "max" }),
          fc.array(address, { minLength: 20, maxLength: 200, size: "max" }),
          (small, flood) => {
            const { lru, evicted } = make(100);
            // Four networks of the flood and eight quiet ones: an equal part is over eight bytes.
            small.forEach(({ host, bytes }, index) =>
              lru.add(`s${index}`, `addr:10.0.${index}.${host}`, "", bytes),
            );
            flood.forEach(({ site, part }, index) => {
              const owner = `addr:2001:db8:${site}:${part.toString(16)}::/64`;
              expect(lru.shrink(owner, 2)).toBe(true);
              lru.add(`f${index}`, owner, "", 2);
              expect(lru.bytes).toBeLessThanOrEqual(100);
            });
            expect(evicted.filter((key) => key.startsWith("s"))).toEqual([]);
            for (const key of small.keys()) lru.delete(`s${key}`);
            for (const key of flood.keys()) lru.delete(`f${key}`);
            expect([lru.bytes, lru.size]).toEqual([0, 0]);
          },
        ),
      );
    });
  });

  describe("with two classes", () => {
    const step = fc.record({
      owner: fc.constantFrom("sub:a", "sub:b", "addr:192.0.2.1", "addr:192.0.2.2", "addr:2001:db8::/64"),
      bytes: fc.integer({ min: 1, max: 20 }),
    });

    it("evicts anonymous entries for anyone, those of subjects only for subjects, and keeps both shares", () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
          const bytesBy = { sub: 0, addr: 0 };
          const kindOf = (key: string) => (key.includes("sub:") ? "sub" : "addr");
          let incoming = { kind: "", bytes: 0 };
          const lru = new OwnerLru<number>({
            budget: 100,
            reservedShare: 1 / 4,
            evicted: (key, bytes) => {
              if (kindOf(key) === "sub") expect(incoming.kind).toBe("sub");
              // No class loses an entry to the other one while it holds no more than its share.
              if (incoming.kind !== kindOf(key)) expect(bytesBy[kindOf(key)]).toBeGreaterThan(25);
              bytesBy[kindOf(key)] -= bytes;
            },
          });
          steps.forEach(({ owner, bytes }, index) => {
            const kind = kindOf(owner);
            incoming = { kind, bytes };
            expect(lru.shrink(owner, bytes)).toBe(true);
            lru.add(`${index} ${owner}`, owner, bytes, bytes);
            bytesBy[kind] += bytes;
            expect(lru.bytes).toBe(bytesBy.sub + bytesBy.addr);
            expect(lru.bytes).toBeLessThanOrEqual(100);
            expect(Math.max(bytesBy.sub, bytesBy.addr)).toBeLessThanOrEqual(75);
          });
        }),
      );
    });

    it("refuses anonymous bytes instead of evicting entries of a subject, and evicts those for another subject", () => {
      const { lru, evicted } = make(100, 1 / 4);
      lru.add("pinned", "addr:192.0.2.1", "", 70, true);
      lru.add("a", "sub:a", "", 25);
      expect(lru.shrink("addr:192.0.2.2", 5)).toBe(true);
      expect(lru.shrink("addr:192.0.2.2", 6)).toBe(false);
      expect(evicted).toEqual([]);
      expect(lru.shrink("sub:b", 10)).toBe(true);
      expect(evicted).toEqual(["a"]);
    });
  });
});
