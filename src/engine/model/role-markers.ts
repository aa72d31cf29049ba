/** Zero-width space. */
const BREAK = "\u200B";

/** Returns a text without role markers: each gets a zero-width space inside. Nothing else changes. */
export type MarkerBreaker = (text: string) => string;

/** A word, with its combining marks. */
const WORD = "[\\p{L}\\p{M}\\p{N}_]";
/**
 * Source of a pattern for any number in a marker. Without a bound, a look-behind would read a long row of digits once for
 * each of them.
 */
const NUMBER = "\\p{N}{1,9}";
/** Numbers, words, blanks and single other characters. */
const ATOMS = /\p{N}+|[\p{L}\p{M}_]+|\s+|[^]/gu;
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, "u");
const HAS_WORD = new RegExp(WORD, "u");
const HAS_SYMBOL = /[^\p{L}\p{M}\p{N}_\s]/u;
/** Splits `USER:` and `### Instruction:` before the colon, so that the words stay whole. */
const FINAL_SYMBOLS = /^(.*[\p{L}\p{M}\p{N}_])\s*([^\p{L}\p{M}\p{N}_\s]+)$/su;
/**
 * What stands before a label at the start of a line, with blanks, quotes, lists, headings and bold text of Markdown, or
 * at the start of a sentence.
 */
const START = "(?:^[ \\t>*_#-]*|[.!?][ \\t]+)";

/** Whether a marker has both words and other visible characters. Others are ordinary words or ordinary symbols. */
export function isDistinct(marker: string): boolean {
  return HAS_WORD.test(marker) && HAS_SYMBOL.test(marker);
}

/**
 * Creates a function that breaks the given role markers. In many vocabularies a role marker such as `<|user|>` or
 * `USER:` is plain text and gives the same tokens in the template and in a message, so a message must not contain one.
 * Blanks and line breaks may stand between the parts of a marker, and a number in it stands for every number of up to nine digits.
 *
 * - `<|user|>`, `[INST]`, `### Instruction:`: broken everywhere, in upper and lower case.
 * - `USER:`: broken everywhere as the template spells it, and in another case at the start of a line or a sentence.
 * - `user`, `---`: broken where they are alone on a line.
 */
export function markerBreaker(markers: readonly string[]): MarkerBreaker {
  const anyCase: string[] = [];
  const exact: string[] = [];
  for (const marker of new Set(markers.map((text) => text.trim()))) {
    if ([...marker].length < 2) continue;
    const [before, after] = halvesOf(marker).map(patternOf) as [string, string];
    if (!isDistinct(marker)) anyCase.push(`(?<=^[ \\t]*${before})(?=${after}[ \\t]*$)`);
    else if (!STARTS_WITH_WORD.test(marker)) anyCase.push(`(?<=${before})(?=\\s*${after})`);
    else {
      exact.push(`(?<=${before})(?=\\s*${after})`);
      anyCase.push(`(?<=${START}${before})(?=\\s*${after})`);
    }
  }
  const steps = [
    ...(exact.length > 0 ? [new RegExp(exact.join("|"), "gu")] : []),
    ...(anyCase.length > 0 ? [new RegExp(anyCase.join("|"), "gimu")] : []),
  ];
  return (text) => steps.reduce((broken, step) => broken.replace(step, BREAK), text);
}

/** The parts of a marker before and after its break. */
function halvesOf(marker: string): readonly [string, string] {
  const final = FINAL_SYMBOLS.exec(marker);
  const [, words = "", symbols = ""] = final ?? [];
  if (words !== "" && (STARTS_WITH_WORD.test(marker) || /[:：]$/u.test(marker))) return [words, symbols];
  const [first = ""] = marker;
  return [first, marker.slice(first.length)];
}

/** Source of a regular expression that matches a marker with any blanks between its parts. */
function patternOf(marker: string): string {
  let source = "";
  let previous = "";
  for (const [atom] of marker.matchAll(ATOMS)) {
    if (atom.trim() === "") {
      previous += " ";
      continue;
    }
    const separated = previous.endsWith(" ");
    const words = HAS_WORD.test(previous) && HAS_WORD.test(atom);
    if (source !== "") source += words ? (separated ? "\\s+" : "") : "\\s*";
    source += /^\p{N}/u.test(atom) ? NUMBER : atom.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    previous = atom;
  }
  return source;
}

/**
 * Finds texts in a chat template's source that look like role markers. They add the markers of branches that a chat
 * does not render, such as those for tools.
 */
export function markersOfTemplate(template: string): string[] {
  const found = template.match(
    /<\|[A-Za-z_]{2,32}\|>|<[a-z]+_of_[a-z]+>|\[\/?[A-Z_]{2,24}\]|<<\/?[A-Z]{2,12}>>/g,
  );
  return [...new Set(found ?? [])];
}
