/** Characters per token of the echo provider. */
const TOKEN_CHARS = 4;

/** A message whose echo has `tokens` tokens. Messages with different names differ. */
export function messageOf(tokens: number, name: string): string {
  const chars = tokens * TOKEN_CHARS;
  return `${name} `.repeat(Math.ceil(chars / (name.length + 1))).slice(0, chars);
}

/** How often each value occurs, as text: `1012: 5000, open: 1`. */
export function tally(values: Iterable<string | number>): string {
  const counts = new Map<string | number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${value}: ${count}`).join(", ") || "none";
}
