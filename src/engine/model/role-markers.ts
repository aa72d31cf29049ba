/** Zero-width space. */
const BREAK = "\u200B";

/** Returns a text without role markers: it inserts a zero-width space after the first character of each. */
export type MarkerBreaker = (text: string) => string;

/**
 * Creates a function that breaks the given role markers. In many vocabularies a role marker such as `<|user|>` is plain
 * text and gives the same tokens in the template and in a message, so a message must not contain one.
 */
export function markerBreaker(markers: readonly string[]): MarkerBreaker {
  const texts = [...new Set(markers)].filter((marker) => [...marker].length > 1);
  if (texts.length === 0) return (text) => text;
  const alternatives = texts.map((marker) => marker.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  // Each match consumes one character, so that overlapping markers are all found.
  const pattern = new RegExp(`(?=${alternatives})[\\s\\S]`, "gu");
  return (text) => text.replace(pattern, `$&${BREAK}`);
}

/** Finds the texts in a chat template's source that look like role markers. */
export function markersOfTemplate(template: string): string[] {
  const found = template.match(
    /<\|[A-Za-z_]{2,32}\|>|<[a-z]+_of_[a-z]+>|\[\/?[A-Z_]{2,24}\]|<<\/?[A-Z]{2,12}>>/g,
  );
  return [...new Set(found ?? [])];
}
