import { describe, expect, it } from "vitest";
import { barText, judge, spreadOfRatio, type Pair } from "../../bench/engine/load/bars.ts";
import { numberText, spreadText, summaryText } from "../../bench/engine/report.ts";

const pair = (service: number, control: number | null): Pair => ({
  service: { speed: service },
  control: control === null ? null : { speed: control },
});

describe("a bar", () => {
  it("of a ratio is judged by the median of the ratios, not by the ratio of the medians", () => {
    const pairs = [pair(10, 10), pair(1, 2), pair(90, 100)];
    expect(spreadOfRatio(pairs, "speed")).toEqual({ median: 0.9, least: 0.5, most: 1 });
    expect(judge({ figure: "speed", of: "ratio", atLeast: 0.9 }, pairs).met).toBe(true);
    expect(judge({ figure: "speed", of: "ratio", atLeast: 0.91 }, pairs).met).toBe(false);
    expect(judge({ figure: "speed", of: "ratio", atMost: 0.9 }, pairs).met).toBe(true);
    expect(judge({ figure: "speed", of: "ratio", atMost: 0.89 }, pairs).met).toBe(false);
  });

  it("of an own figure needs no control", () => {
    expect(judge({ figure: "speed", of: "own", atMost: 2 }, [pair(1, null), pair(2, null)]).met).toBe(true);
    expect(judge({ figure: "speed", of: "own", atMost: 1 }, [pair(1, null), pair(2, null)]).met).toBe(false);
  });

  it("is neither met nor missed if the control or the figure is missing or a run measured nothing", () => {
    const ratio = { figure: "speed", of: "ratio", atLeast: 1 } as const;
    for (const pairs of [[pair(1, null)], [pair(Number.NaN, 1)], [pair(1, 1), pair(1, null)], []]) {
      expect(judge(ratio, pairs).met).toBeNull();
    }
    expect(judge({ ...ratio, figure: "absent" }, [pair(1, 1)])).toMatchObject({ value: null, met: null });
  });

  it("is missed if an answer never arrived", () => {
    expect(judge({ figure: "speed", of: "own", atMost: 5 }, [pair(Number.POSITIVE_INFINITY, null)]).met).toBe(
      false,
    );
  });

  it("is formatted with its limit", () => {
    expect(barText({ figure: "x", of: "own", atMost: 2 })).toBe("≤ 2");
    expect(barText({ figure: "x", of: "ratio", atLeast: 0.85 })).toBe("≥ 0.85");
  });
});

describe("the bench report", () => {
  it("shows median and spread with three significant digits", () => {
    expect(spreadText({ median: 0.91234, least: 0.5, most: 12.345 })).toBe("0.912 (0.5–12.3)");
    expect(spreadText({ median: 3, least: 3, most: 3 })).toBe("3");
    expect(spreadText(null)).toBe("–");
    expect([1234.5, 99.96, Number.POSITIVE_INFINITY, Number.NaN].map(numberText)).toEqual([
      "1,235",
      "100",
      "∞",
      "–",
    ]);
  });

  it("counts the bars that were met", () => {
    const bar = { figure: "x", of: "own" } as const;
    const verdicts = [true, false, true, null].map((met) => ({ bar, value: null, met }));
    expect(summaryText(verdicts)).toBe("2 of 4 bars met, 1 not measured.");
  });
});
