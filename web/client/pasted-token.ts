/** A quote or white space, as pasted before or after a token. */
const EDGE = /[\s"'`“”„‘’‚«»‹›]/;

/** A token as it was pasted, without quotes, line breaks, invisible characters and a leading `Bearer`. */
export function pastedToken(text: string): string {
  const visible = withoutEdges(text.replaceAll(/\p{Cf}/gu, ""));
  return withoutEdges(visible.replace(/^(authorization:\s*)?bearer[\s:]+/i, "")).replaceAll(/\s+/g, "");
}

/** A regular expression that ends in `$` would take quadratic time for many blanks inside the text. */
function withoutEdges(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && EDGE.test(text.charAt(from))) from++;
  while (to > from && EDGE.test(text.charAt(to - 1))) to--;
  return text.slice(from, to);
}
