import { tableLines } from "../../support/table.ts";
import type { Spread } from "../harness/statistics.ts";
import { barText, spreadOfFigure, spreadOfRatio, type Verdict } from "./load/bars.ts";
import type { CaseResult } from "./measure.ts";

/** Lines of the table of a case, with the verdict on each bar in the last column. */
export function caseLines(scenario: string, result: CaseResult): string[] {
  const { name, service, control, pairs, verdicts } = result;
  const figures = Object.keys(pairs[0]?.service ?? {});
  const contenders = control === null ? [service.name] : [service.name, control.name, "ratio"];
  const rows = figures.map((figure) => {
    const cells = [spreadText(spreadOfFigure(pairs, "service", figure))];
    if (control !== null) {
      cells.push(spreadText(spreadOfFigure(pairs, "control", figure)));
      cells.push(spreadText(spreadOfRatio(pairs, figure)));
    }
    const verdict = verdicts.find(({ bar }) => bar.figure === figure);
    return [figure, ...cells, verdict ? verdictText(verdict) : ""];
  });
  const head = [`${scenario}, ${name}`, ...contenders, "bar"];
  return [...tableLines([head, ...rows]), ""];
}

/** `≤ 0.6 of the control's: NOT MET` */
function verdictText({ bar, value, met }: Verdict): string {
  const limit = `${barText(bar)}${bar.of === "ratio" ? " of the control's" : ""}`;
  if (value === null || met === null) return `${limit}: not measured`;
  return `${limit}: ${met ? "met" : "NOT MET"}`;
}

/** `17.3 (16.0–18.9)`: median, minimum, maximum. */
export function spreadText(spread: Spread | null): string {
  if (spread === null) return "–";
  const { median, least, most } = spread;
  if (least === most) return numberText(median);
  return `${numberText(median)} (${numberText(least)}–${numberText(most)})`;
}

/** Three significant digits, or a whole number from 100 on. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** How many bars were met, over all cases: `2 of 4 bars met, 1 not measured.` */
export function summaryText(verdicts: readonly Verdict[]): string {
  const count = (met: boolean | null) => verdicts.filter((verdict) => verdict.met === met).length;
  const unknown = count(null);
  return `${count(true)} of ${verdicts.length} bars met${unknown > 0 ? `, ${unknown} not measured` : ""}.`;
}
