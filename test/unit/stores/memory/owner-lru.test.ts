import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { OwnerLru } from "../../../../src/stores/memory/owner-lru.ts";

function make(budget: number) {
  const evicted: string[] = [];
  return { lru: new OwnerLru<string>(budget, (key) => evicted.push(key)), evicted };
}

describe("OwnerLru", () => {
  it("evicts the least recently used entry of the owner with the most bytes", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "a", "A1", 3);
    lru.add("a2", "a", "A2", 3);
    lru.add("b1", "b", "B1", 4);
    expect(lru.get("a1")).toBe("A1");
    expect(lru.peek("a2")).toBe("A2");
    expect(lru.shrink(1)).toBe(true);
    expect(evicted).toEqual(["a2"]);
    expect(lru.shrink(7)).toBe(true);
    expect(evicted).toEqual(["a2", "b1"]);
  });

  it("counts incoming bytes as held by their owner, so an equal owner loses nothing", () => {
    const { lru, evicted } = make(10);
    lru.add("quiet", "quiet", "", 5);
    lru.add("flood", "flood", "", 5);
    expect(lru.shrink(1, "flood")).toBe(true);
    expect(evicted).toEqual(["flood"]);
  });

  it("never evicts pinned entries, and returns false when only those are left", () => {
    const { lru, evicted } = make(10);
    lru.add("a1", "a", "", 6, true);
    lru.add("b1", "b", "", 3);
    expect(lru.shrink(4)).toBe(true);
    expect(evicted).toEqual(["b1"]);
    expect(lru.shrink(5)).toBe(false);
    lru.pin("a1", false);
    expect(lru.shrink(5)).toBe(true);
    expect(lru.size).toBe(0);
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
        const lru = new OwnerLru<string>(budget, (key, value) => {
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
            const fits = lru.shrink(bytes, owner);
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
            expect(lru.shrink(bytes, "flood")).toBe(true);
            lru.add(`flood${index}`, "flood", "", bytes);
            expect(lru.bytes).toBeLessThanOrEqual(100);
          });
          expect(evicted.filter((key) => key.startsWith("small"))).toEqual([]);
        },
      ),
    );
  });
});
