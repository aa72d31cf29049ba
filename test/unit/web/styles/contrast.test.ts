import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("../../../../web/styles/style.css", import.meta.url), "utf8");
const [light, dark] = [...css.matchAll(/:root \{([^}]*--page:[^}]*)\}/g)].map(([, block]) =>
  readColors(block ?? ""),
);

function readColors(block: string): Map<string, string> {
  return new Map(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", color = ""]) => [name, color]),
  );
}

/** Relative luminance as defined by WCAG 2. */
function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

const surfaces = ["page", "surface", "sunken", "user-message"];
const pairs: [ink: string, ground: string][] = [
  ...surfaces.flatMap((ground): [string, string][] => [
    ["ink", ground],
    ["soft", ground],
  ]),
  ["on-accent", "accent"],
  ["accent", "page"],
  ["accent", "surface"],
  ["busy", "page"],
  ["good", "surface"],
  ["bad", "surface"],
  ["mixed", "surface"],
  ["ink", "bad-surface"],
  ["bad", "bad-surface"],
];

describe.each([
  ["light", light],
  ["dark", dark],
])("the %s theme", (_theme, colors) => {
  it.each(pairs)("has a contrast of at least 4.5 to 1 for %s on %s (WCAG AA)", (ink, ground) => {
    const text = colors?.get(ink);
    const behind = colors?.get(ground);
    if (text === undefined || behind === undefined) throw new Error(`no colour ${ink} or ${ground}`);
    expect(contrast(text, behind)).toBeGreaterThanOrEqual(4.5);
  });
});
