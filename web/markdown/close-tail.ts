/**
 * Closes unfinished markup at the end of a growing text, so that the text is shown as it will look when it is complete.
 * An open `**bold` or `` `code `` is closed, and a marker without text after it is removed.
 */
export function closeTail(text: string): string {
  const fences = text.match(/^ {0,3}(?:```|~~~)/gm)?.length ?? 0;
  if (fences % 2 === 1) return text;
  // A single `*` at the end may be the first half of `**`. At the start of a line it may be a bullet and is kept.
  const kept = /[^*\n]\*$/.test(text) ? text.slice(0, -1).trimEnd() : text;
  const line = kept.slice(kept.lastIndexOf("\n") + 1);
  if (countOf(line, "`") % 2 === 1) return line.endsWith("`") ? kept.slice(0, -1) : `${kept}\``;
  if (countOf(line, "**") % 2 === 0) return kept;
  return line.endsWith("**") ? kept.slice(0, -2) : `${kept.trimEnd()}**`;
}

function countOf(line: string, marker: string): number {
  return line.split(marker).length - 1;
}
