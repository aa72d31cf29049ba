import { spreadOfFigure } from "./load/bars.ts";
import type { CaseResult } from "./measure.ts";

const ACROSS = "inter-token p99, ms";
const UP = "first token p95, ms";

const WIDTH = 720;
const HEIGHT = 440;
const MARGIN = { left: 70, right: 150, top: 30, bottom: 60 };
/** One colour per load. They differ in brightness too, so that a greyscale print stays readable. */
const COLOURS = ["#7fb2e5", "#3f7fbf", "#1f4f8f", "#0b1f3f", "#c06000", "#803000"];

interface Point {
  readonly load: number;
  /** `LOCAL_ITL_TARGET_MS`; null for the control. */
  readonly target: number | null;
  readonly across: number;
  readonly up: number;
}

/**
 * Draws the trade-off between time to first token and time between tokens, from the cases of the scenario `trade`: one
 * line per load over the settings, and a ring for the control at the same load.
 *
 * @returns an SVG, or null if there is nothing to draw.
 */
export function tradePlot(cases: readonly CaseResult[]): string | null {
  const points = cases.flatMap(pointsOf);
  if (points.length === 0) return null;
  const x = axis(
    points.map(({ across }) => across),
    MARGIN.left,
    WIDTH - MARGIN.right,
  );
  const y = axis(
    points.map(({ up }) => up),
    HEIGHT - MARGIN.bottom,
    MARGIN.top,
  );
  const loads = [...new Set(points.map(({ load }) => load))].toSorted((a, b) => a - b);
  const lines = loads.flatMap((load, index) => {
    const colour = COLOURS[index % COLOURS.length] as string;
    const own = points.filter((point) => point.load === load);
    return loadLines(own, colour, x.at, y.at).concat(legend(`${load} % load`, colour, index));
  });
  const ring = `<circle cx="${WIDTH - MARGIN.right + 24}" cy="${MARGIN.top + loads.length * 20}" r="6" fill="none" stroke="#555"/>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...x.ticks.map((value) => tick(x.at(value), HEIGHT - MARGIN.bottom, value, "x")),
    ...y.ticks.map((value) => tick(MARGIN.left, y.at(value), value, "y")),
    `<text x="${MARGIN.left}" y="${HEIGHT - 14}">time between two tokens, p99, ms (points are labelled with LOCAL_ITL_TARGET_MS)</text>`,
    `<text x="16" y="${HEIGHT - MARGIN.bottom}" transform="rotate(-90 16 ${HEIGHT - MARGIN.bottom})">time to first token, p95, ms</text>`,
    ...lines,
    ring,
    text(WIDTH - MARGIN.right + 36, MARGIN.top + loads.length * 20 + 4, "llama-server", "#333"),
    "</svg>\n",
  ].join("\n");
}

/** Points of a case. Its name has the form `load 60 %, target 100 ms`. */
function pointsOf({ name, pairs }: CaseResult): Point[] {
  const [, load, target] = /^load (\d+) %, target (\d+) ms$/.exec(name) ?? [];
  if (load === undefined || target === undefined) return [];
  return (["service", "control"] as const).flatMap((side) => {
    const across = spreadOfFigure(pairs, side, ACROSS);
    const up = spreadOfFigure(pairs, side, UP);
    if (across === null || up === null) return [];
    const of = side === "service" ? Number(target) : null;
    return [{ load: Number(load), target: of, across: across.median, up: up.median }];
  });
}

function loadLines(
  points: readonly Point[],
  colour: string,
  x: (value: number) => number,
  y: (value: number) => number,
): string[] {
  const own = points
    .filter(({ target }) => target !== null)
    .toSorted((a, b) => (a.target ?? 0) - (b.target ?? 0));
  const path = own.map(({ across, up }) => `${x(across).toFixed(1)},${y(up).toFixed(1)}`).join(" ");
  const dots = points.map(({ target, across, up }) => {
    const at = `cx="${x(across).toFixed(1)}" cy="${y(up).toFixed(1)}"`;
    return target === null
      ? `<circle ${at} r="6" fill="none" stroke="${colour}" stroke-width="2"/>`
      : `<circle ${at} r="3.5" fill="${colour}"/>${text(x(across) + 6, y(up) - 5, `${target}`, colour)}`;
  });
  return [`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`, ...dots];
}

function legend(label: string, colour: string, index: number): string {
  const y = MARGIN.top + index * 20;
  const x = WIDTH - MARGIN.right + 24;
  return `<circle cx="${x}" cy="${y}" r="4" fill="${colour}"/>${text(x + 12, y + 4, label, "#333")}`;
}

function text(x: number, y: number, words: string, colour: string): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${colour}">${words}</text>`;
}

function tick(x: number, y: number, value: number, side: "x" | "y"): string {
  const right = WIDTH - MARGIN.right;
  const line =
    side === "x"
      ? `x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${MARGIN.top}" y2="${y}"`
      : `x1="${x}" x2="${right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"`;
  const label =
    side === "x"
      ? `<text x="${x.toFixed(1)}" y="${y + 18}" text-anchor="middle" fill="#333">${value}</text>`
      : `<text x="${x - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end" fill="#333">${value}</text>`;
  return `<line ${line} stroke="#e4e4e4"/>${label}`;
}

/** A logarithmic axis, since the first token of a full server takes many times as long as that of an idle one. */
function axis(values: readonly number[], from: number, to: number) {
  const low = Math.log(Math.min(...values) / 1.15);
  const high = Math.log(Math.max(...values) * 1.15);
  const ticks = [1, 10, 100, 1000, 10_000, 100_000].flatMap((power) =>
    [1, 1.5, 2, 3, 5, 7].map((step) => step * power),
  );
  return {
    at: (value: number) => from + ((Math.log(value) - low) / (high - low)) * (to - from),
    ticks: ticks.filter((value) => Math.log(value) >= low && Math.log(value) <= high),
  };
}
