/** Characters of a token of the echo provider. */
const TOKEN_CHARS = 4;

/** A message whose echo has so many tokens, told apart from others by its name. */
export function messageOf(tokens: number, name: string): string {
  const chars = tokens * TOKEN_CHARS;
  return `${name} `.repeat(Math.ceil(chars / (name.length + 1))).slice(0, chars);
}

/** How often each value occurs, as text. */
export function tally(values: Iterable<string | number>): string {
  const counts = new Map<string | number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => `${value}: ${count}`).join(", ") || "none";
}
