/** Whether a token of the vocabulary contains these two characters next to each other. */
export type Joined = (left: string, right: string) => boolean;

/**
 * Maximum length of a piece that is tokenized at once, in UTF-16 units. Bounds the time of a call (1 to 15 ms) and its
 * stack: some tokenizers split text by a regular expression that recurses, with 250 to 500 bytes per character.
 */
export const MAX_PIECE_CHARS = 2048;

const WORD = /[\p{L}\p{N}]/u;
const BLACK = /\S/;
/**
 * Punctuation that no tokenizer matches as part of the word before it. The apostrophe is one that some match: `it's`.
 */
const PUNCTUATION = new Set('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~。，、！？；：（）「」『』');
/** Stands for a character of which a token has only some bytes. */
const PARTIAL = "\ufffd";

/** Whether a cut before this character can be exact. */
function isBoundary(character: string): boolean {
  return character === " " || PUNCTUATION.has(character);
}

/**
 * End of the piece of `text` that begins at `from`: the last place within {@link MAX_PIECE_CHARS} where a cut does not
 * change the tokens, because no token reaches over it and no tokenizer's expression joins what it divides. Text with no
 * such place is cut anywhere; its tokens still spell the same text.
 */
export function pieceEnd(text: string, from: number, joined: Joined): number {
  const end = from + MAX_PIECE_CHARS;
  if (end >= text.length) return text.length;
  for (let at = end; at > from; at--) if (isExactCut(text, at, joined)) return at;
  return isHighSurrogate(text.charCodeAt(end - 1)) ? end - 1 : end;
}

/** Whether the tokens of a text are those of its part before `at` and of its part from `at`. */
export function isExactCut(text: string, at: number, joined: Joined): boolean {
  const right = text[at] ?? "";
  const left = text[at - 1] ?? "";
  // The first of several spaces can belong to another piece than the last one.
  const between = right === " " && BLACK.test(left) && BLACK.test(text[at + 1] ?? "");
  if (!between && !(PUNCTUATION.has(right) && WORD.test(left))) return false;
  return !joined(left, right);
}

/** Finds the pairs of characters that tokens contain, among those between which a cut is possible. */
export function joinedPairs(tokens: Iterable<string>): Joined {
  const pairs = new Set<string>();
  // A token with a part of a character may contain its neighbour next to several characters.
  const anyRight = new Set<string>();
  const anyLeft = new Set<string>();
  for (const token of tokens) {
    for (let at = 1; at < token.length; at++) {
      const left = token[at - 1] as string;
      const right = token[at] as string;
      if (isBoundary(right)) {
        if (left === PARTIAL) anyLeft.add(right);
        else pairs.add(left + right);
      } else if (right === PARTIAL) anyRight.add(left);
    }
  }
  return (left, right) =>
    pairs.has(left + right) ||
    (left > "\x7f" && anyLeft.has(right)) ||
    (right > "\x7f" && anyRight.has(left));
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd8_00 && code <= 0xdb_ff;
}
