/** Levenshtein's distance: single characters inserted, deleted or changed. One row of the table at a time. */
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

/** The word nearest to a mistyped one; undefined when none is within `most` changes. */
export function nearestWord(typed: string, words: Iterable<string>, most = Infinity): string | undefined {
  let nearest: string | undefined;
  let least = most + 1;
  for (const word of words) {
    const distance = editDistance(typed, word);
    if (distance < least) [nearest, least] = [word, distance];
  }
  return nearest;
}

/** The name of `names` that is closest to `name`; undefined when none is close enough to be meant. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  return nearestWord(name, names, Math.max(2, Math.floor(name.length / 3)));
}
