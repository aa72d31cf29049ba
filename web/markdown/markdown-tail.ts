/**
 * Makes the end of a text that still grows read as it will once it is whole: an opened `**bold` or `` `code `` is closed
 * for the time being, and a marker with nothing behind it yet is left out.
 */
export function closeTail(text: string): string {
  const fences = text.match(/^ {0,3}(?:```|~~~)/gm)?.length ?? 0;
  if (fences % 2 === 1) return text;
  // Half of a marker: the other half is on its way. A marker that begins a line may be a bullet.
  const kept = /[^*\n]\*$/.test(text) ? text.slice(0, -1).trimEnd() : text;
  const line = kept.slice(kept.lastIndexOf("\n") + 1);
  if (countOf(line, "`") % 2 === 1) return line.endsWith("`") ? kept.slice(0, -1) : `${kept}\``;
  if (countOf(line, "**") % 2 === 0) return kept;
  return line.endsWith("**") ? kept.slice(0, -2) : `${kept.trimEnd()}**`;
}

function countOf(line: string, marker: string): number {
  return line.split(marker).length - 1;
}
