const BREAK = "\u200B";

/** Text in which no role marker is left: each has a zero-width space after its first character. */
export type MarkerBreaker = (text: string) => string;

/**
 * In many vocabularies a role marker such as `<|user|>` is plain text, the same tokens whether the template or a user
 * wrote it. So text that is not the template's must not hold one.
 */
export function markerBreaker(markers: readonly string[]): MarkerBreaker {
  const texts = [...new Set(markers)].filter((marker) => [...marker].length > 1);
  if (texts.length === 0) return (text) => text;
  const alternatives = texts.map((marker) => marker.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  // Consumes one character a match, so that markers that overlap are all found.
  const pattern = new RegExp(`(?=${alternatives})[\\s\\S]`, "gu");
  return (text) => text.replace(pattern, `$&${BREAK}`);
}

/** What looks like a role marker in the source of a chat template. */
export function markersOfTemplate(template: string): string[] {
  const found = template.match(
    /<\|[A-Za-z_]{2,32}\|>|<[a-z]+_of_[a-z]+>|\[\/?[A-Z_]{2,24}\]|<<\/?[A-Z]{2,12}>>/g,
  );
  return [...new Set(found ?? [])];
}
