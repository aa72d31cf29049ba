import { describe, expect, it } from "vitest";
import { engineUsage, readEngineOptions } from "../../bench/engine/options.ts";
import { scenarios } from "../../bench/engine/scenarios/index.ts";

const read = (...args: string[]) => readEngineOptions(args, scenarios);

describe("the options of the engine bench", () => {
  it("select all scenarios but the sweep by default, with the pairs that each scenario defines", () => {
    const options = read();
    expect(options.scenarios.map(({ name }) => name)).toEqual(
      scenarios.map(({ name }) => name).filter((name) => name !== "trade"),
    );
    expect(options).toMatchObject({
      pairs: undefined,
      model: "smollm2",
      quick: false,
      alone: false,
      cases: [],
    });
    for (const { control, pairs } of options.scenarios) expect(pairs).toBe(control === "none" ? 3 : 9);
  });

  it("accept scenarios, cases, sizes and settings", () => {
    const args = ["--scenario", "closed-loop,burst", "--case", "1,8", "--size", "seconds=3", "--pairs", "2"];
    const options = read(...args, "--set", "LOCAL_ITL_TARGET_MS=50", "--set", "SYSTEM_PROMPT=a=b");
    expect(options.scenarios.map(({ name }) => name)).toEqual(["closed-loop", "burst"]);
    expect(options).toMatchObject({ cases: ["1", "8"], sizes: { seconds: 3 }, pairs: 2 });
    expect(options.settings).toEqual({ LOCAL_ITL_TARGET_MS: "50", SYSTEM_PROMPT: "a=b" });
  });

  it.each([
    [["--scenario", "closedloop"], "There is no scenario closedloop"],
    [["--scenario", "burst", "--size", "seconds=3"], "No scenario here has a size seconds"],
    [["--size", "seconds"], "Expected KEY=VALUE"],
    [["--size", "seconds=-1"], "must be a number from 0 on"],
    [["--pairs", "0"], "must be a positive whole number"],
    [["--pairs", "1.5"], "must be a positive whole number"],
    [["--fast"], "--fast"],
    [["burst"], "burst"],
  ])("reject %j", (args, message) => {
    expect(() => read(...args)).toThrow(message);
  });

  it("are documented in the usage text with every scenario and its sizes", () => {
    const usage = engineUsage(scenarios);
    for (const { name, full } of scenarios) {
      expect(usage).toContain(`  ${name}`);
      for (const key of Object.keys(full)) expect(usage).toContain(`${key}=`);
    }
  });
});

describe("bench scenarios", () => {
  it("have unique names, the same sizes in quick mode, and a bar each except for the sweep", () => {
    expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
    for (const { name, full, quick, cases } of scenarios) {
      expect(Object.keys(quick).toSorted()).toEqual(Object.keys(full).toSorted());
      const all = cases(full);
      expect(all.length).toBeGreaterThan(0);
      const bars = all.flatMap((it) => it.bars);
      expect(bars.length > 0, name).toBe(name !== "trade");
      for (const bar of bars) expect(bar.atLeast ?? bar.atMost).toBeGreaterThan(0);
    }
  });
});
