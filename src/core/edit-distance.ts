/** Levenshtein distance: the number of UTF-16 units to insert, delete or change. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The word nearest to a mistyped one; undefined when none is within `maxDistance`. */
export function nearestWord(
  typed: string,
  words: Iterable<string>,
  maxDistance = Infinity,
): string | undefined {
  let nearest: string | undefined;
  let least = maxDistance + 1;
  for (const word of words) {
    const distance = editDistance(typed, word);
    if (distance < least) [nearest, least] = [word, distance];
  }
  return nearest;
}

/** The closest of `names` to a mistyped name; undefined when none is close enough to be a plausible correction. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  return nearestWord(name, names, Math.max(2, Math.floor(name.length / 3)));
}
