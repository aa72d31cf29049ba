/**
 * Tokens of the echo provider: runs of four UTF-16 units, the usual length of a token in English. A boundary that
 * would split a surrogate pair moves behind it. Boundaries are found without looking at the text before them, so that
 * an answer of many megabytes costs as little as a short one.
 */
export const UNITS_PER_TOKEN = 4;

/** Where token `index` of `text` begins, in UTF-16 units; at most the text's length. */
export function tokenStart(text: string, index: number): number {
  const at = index * UNITS_PER_TOKEN;
  if (at === 0 || at >= text.length) return Math.min(at, text.length);
  const splitsPair = isHigh(text.charCodeAt(at - 1)) && isLow(text.charCodeAt(at));
  return splitsPair ? at + 1 : at;
}

/** How many tokens a text has. */
export function countEchoTokens(text: string): number {
  const most = Math.ceil(text.length / UNITS_PER_TOKEN);
  return most > 0 && tokenStart(text, most - 1) === text.length ? most - 1 : most;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}
