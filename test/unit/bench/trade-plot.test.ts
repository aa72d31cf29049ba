import { describe, expect, it } from "vitest";
import type { CaseResult } from "../../bench/engine/measure.ts";
import { tradePlot } from "../../bench/engine/trade-plot.ts";

const figures = (first: number, gap: number) => ({
  "first token p95, ms": first,
  "inter-token p99, ms": gap,
});

function result(load: number, target: number, first: number, gap: number, control = true): CaseResult {
  const contender = { name: "service", flags: {} };
  return {
    name: `load ${load} %, target ${target} ms`,
    service: contender,
    control: control ? { name: "llama-server", flags: {} } : null,
    calibrated: {},
    pairs: [{ service: figures(first, gap), control: control ? figures(first * 2, gap * 3) : null }],
    verdicts: [],
  };
}

describe("the trade-off plot", () => {
  it("has a line for each load, a point for each setting and a ring for the control", () => {
    const cases = [40, 95].flatMap((load) =>
      [25, 50, 200].map((target) => result(load, target, load * 10 + target, target + 30)),
    );
    const svg = tradePlot(cases) ?? "";
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg.match(/r="3.5"/g)).toHaveLength(6);
    // One for each measurement and one in the legend.
    expect(svg.match(/r="6"/g)).toHaveLength(7);
    for (const words of ["40 % load", "95 % load", "llama-server", ">25<", ">200<"])
      expect(svg).toContain(words);
    expect(svg).not.toContain("NaN");
  });

  it("places a longer wait higher and a longer gap further right", () => {
    const svg = tradePlot([result(40, 25, 100, 200, false), result(40, 50, 50, 400, false)]) ?? "";
    const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)" r="3.5"/g)].map((match) => ({
      x: Number(match[1]),
      y: Number(match[2]),
    }));
    const [slow, fast] = dots;
    expect(slow && fast && slow.y < fast.y && slow.x < fast.x).toBe(true);
  });

  it("is not created for other scenarios", () => {
    expect(tradePlot([{ ...result(40, 25, 1, 1), name: "16 chats" }])).toBeNull();
    expect(tradePlot([])).toBeNull();
  });
});
