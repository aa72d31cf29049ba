import { describe, expect, it } from "vitest";
import { runScenario, type Means } from "../bench/engine/engine-bench.ts";
import { findModel } from "../bench/engine/models.ts";
import type { AnyScenario } from "../bench/engine/scenario.ts";
import { scenarios } from "../bench/engine/scenarios/index.ts";

/** One case per scenario is enough to check that its load runs. `trade` only repeats `poisson`. */
const oneCase: Readonly<Record<string, string>> = { "closed-loop": "2", "free-running": "8" };

async function runQuick(scenario: AnyScenario, changes: Partial<Means> = {}) {
  const lines: string[] = [];
  const only = oneCase[scenario.name];
  const result = await runScenario(scenario, {
    cases: only === undefined ? [] : [only],
    pairs: 1,
    model: await findModel("tiny"),
    threads: 1,
    quick: true,
    sizes: {},
    settings: {},
    alone: true,
    seed: 1,
    llamaServer: null,
    print: (line) => lines.push(line),
    ...changes,
  });
  return { ...result, report: lines.join("\n") };
}

const measured = scenarios.filter(({ name, needs }) => name !== "trade" && needs === undefined);

describe("the engine bench on the tiny model", () => {
  it.each(measured.map((scenario) => [scenario.name, scenario] as const))(
    "measures every figure that a bar of %s needs",
    async (_, scenario) => {
      const { cases, report } = await runQuick(scenario);
      expect(cases).toHaveLength(1);
      for (const { pairs, verdicts } of cases) {
        const figures = pairs[0]?.service ?? {};
        for (const { bar, met } of verdicts) {
          expect(figures[bar.figure], bar.figure).toBeGreaterThan(0);
          expect(Number.isFinite(figures[bar.figure]), bar.figure).toBe(true);
          expect(met === null, bar.figure).toBe(bar.of === "ratio");
          expect(report).toContain(bar.figure);
        }
        expect(figures["cores used"]).toBeGreaterThan(0);
      }
    },
  );

  it("drives a control with the same load", async () => {
    const scenario = scenarios.find(({ name }) => name === "free-running") as AnyScenario;
    const { cases } = await runQuick(scenario, { alone: false });
    const [{ service, control } = { service: {}, control: null }] = cases[0]?.pairs ?? [];
    expect(cases[0]?.control?.name).toBe("free-running");
    expect(control?.["tokens/s"]).toBeGreaterThan(0);
    expect(control?.["prompt tokens, mean"]).toBeCloseTo(service["prompt tokens, mean"] ?? 0, -1);
    expect(cases[0]?.verdicts.every(({ met }) => met !== null)).toBe(true);
  });

  it("skips a scenario and reports what is missing if a control or a setting is not available", async () => {
    const burst = scenarios.find(({ name }) => name === "burst") as AnyScenario;
    const without = await runQuick(burst, { alone: false });
    expect(without.skipped).toContain("LLAMA_SERVER_BIN");
    const unknown = await runQuick({ ...burst, needs: ["LOCAL_NO_SUCH_SETTING"] });
    expect(unknown.skipped).toContain("LOCAL_NO_SUCH_SETTING");
    expect(unknown.report).toContain("not measured");
  });
});
