/** Writes a command's value so that `parseMessage` reads it back. */
export function quoteValue(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}
