import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { attacks } from "../../load/attacks/catalog.ts";
import { attackerAddress, createField, honestAddress } from "../../load/attacks/field.ts";
import { Wires } from "../../load/attacks/wires.ts";
import { readArguments } from "../../load/programs/program.ts";

describe("addresses of the attacks", () => {
  const indexes = Array.from({ length: 1000 }, (_, index) => index);

  it("are 1,000 different ones of one /16, with none of an honest client among them", () => {
    const attackers = indexes.map(attackerAddress);
    expect(new Set(attackers).size).toBe(1000);
    expect(attackers.every((address) => /^127\.1\.\d{1,3}\.(?!0$|255$)\d{1,3}$/.test(address))).toBe(true);
    const honest = indexes.map(honestAddress);
    expect(new Set([...attackers, ...honest]).size).toBe(2000);
  });

  it("repeat after the number of addresses that the attackers use", () => {
    const field = createField(new Wires(1), 3, "");
    expect([0, 1, 2, 3, 4].map(field.many)).toEqual([0, 1, 2, 0, 1].map((index) => attackerAddress(index)));
    expect(new Set([0, 1, 2].map(field.one)).size).toBe(1);
  });
});

describe("a field of attacks", () => {
  it("opens no more than 25 connections at once", () => {
    const field = createField(new Wires(1), 1, "");
    const opened = Array.from({ length: 2000 }, () => field.mayOpen()).filter(Boolean).length;
    expect(opened).toBeGreaterThanOrEqual(25);
    // 500 more a second, and the loop takes far less than two seconds.
    expect(opened).toBeLessThan(1025);
  });
});

describe("the catalog of attacks", () => {
  it("computes a positive bound for each, which never falls with the size of the attack", () => {
    for (const [name, attack] of Object.entries(attacks)) {
      const small = attack.held({ seconds: 1, addresses: 10 });
      expect(small, name).toBeGreaterThanOrEqual(0);
      expect(attack.held({ seconds: 60, addresses: 1000 }), name).toBeGreaterThanOrEqual(small);
    }
  });
});

describe("docs/load-and-bench.md", () => {
  it("has one row for each attack, in the same order", () => {
    const text = readFileSync(new URL("../../../docs/load-and-bench.md", import.meta.url), "utf8");
    const section = text.slice(text.indexOf("### Attacks"), text.indexOf("## Benches of the gateway"));
    const rows = [...section.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(rows).toEqual(Object.keys(attacks));
  });
});

describe("arguments of a load program", () => {
  const program = {
    options: { seconds: { default: 12, doc: "" } },
    choice: { option: "attack", names: ["a", "b", "c"], doc: "" },
  };

  it("choose all names unless some are given", () => {
    expect(readArguments(program, [])).toEqual({ options: { seconds: 12 }, chosen: ["a", "b", "c"] });
    expect(readArguments(program, ["--attack", "c,a", "--seconds", "3"])).toEqual({
      options: { seconds: 3 },
      chosen: ["c", "a"],
    });
  });

  it("are refused with the valid values", () => {
    expect(() => readArguments(program, ["--attack", "a,x"])).toThrow(
      '--attack must list names of a, b, c, not "x".',
    );
    expect(() => readArguments(program, ["--seconds", "0"])).toThrow(
      "--seconds must be a positive whole number",
    );
    expect(() => readArguments({ options: {} }, ["--attack", "a"])).toThrow("--attack");
  });
});
