/**
 * Length of a token of the echo provider in UTF-16 units, the usual length in English text. A boundary that would split
 * a surrogate pair moves behind it. Boundaries are computed without reading the text before them, so that tokens of an
 * answer of many megabytes are as cheap as those of a short one.
 */
export const UNITS_PER_TOKEN = 4;

/** Start of token `index` of `text` in UTF-16 units, at most the length of the text. */
export function tokenStart(text: string, index: number): number {
  const at = index * UNITS_PER_TOKEN;
  if (at === 0 || at >= text.length) return Math.min(at, text.length);
  const splitsPair = isHigh(text.charCodeAt(at - 1)) && isLow(text.charCodeAt(at));
  return splitsPair ? at + 1 : at;
}

/** Number of tokens of a text. */
export function countEchoTokens(text: string): number {
  const max = Math.ceil(text.length / UNITS_PER_TOKEN);
  return max > 0 && tokenStart(text, max - 1) === text.length ? max - 1 : max;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
