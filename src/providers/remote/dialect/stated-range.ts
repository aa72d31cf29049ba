/** Values that a server accepts for the token limit, both inclusive. */
export interface TokenRange {
  /** ≥ 1. */
  readonly min: number;
  /** Infinity: no limit is known. */
  readonly max: number;
}

export const anyTokens: TokenRange = { min: 1, max: Number.POSITIVE_INFINITY };

/** Fewest tokens for an answer that are worth a second request. With less room, the prompt counts as too long. */
const MIN_ROOM = 16;

/** A number that is no part of a word, a version or a model's name such as `gpt-4`. */
const NUMBER = String.raw`(?<![\w.-])(\d{1,9})(?![\w-]|\.\d)`;
/** A number at the end of a range, where a dash may stand next to it. */
const END = String.raw`(\d{1,9})(?!\d)`;
/** Words between a key word and its number, in the same sentence. */
const GAP = String.raw`(?:(?![.;!]\s|\n).){0,80}?`;
const QUOTES = "[\\s`'\"(:=*]{0,8}";

function pattern(...parts: readonly string[]): RegExp {
  return new RegExp(parts.join(""), "i");
}

/**
 * Ranges in brackets, where a round one excludes its end. Read before {@link withoutSeparators}, which would join
 * `[1,512]`. Between round ones a space is required: `(4,096)` is one number.
 */
const BRACKETS = [
  /(\[)\s{0,4}(\d{1,9})\s{0,4}[,，~-]\s{0,4}(\d{1,9})\s{0,4}([\])])/,
  /(\()\s{0,4}(\d{1,9}),\s{1,4}(\d{1,9})\s{0,4}([\])])/,
];

const INTERVALS: readonly RegExp[] = [
  pattern("(?:between|within)\\s{1,4}", END, "\\s{0,4}(?:and|to|-|–)\\s{0,4}", END),
  pattern("range", GAP, END, "\\s{0,4}(?:-|–|~|\\.{2,3}=?|,|to|and)\\s{0,4}", END),
  pattern("from\\s{1,4}", NUMBER, "\\s{1,4}to\\s{1,4}", NUMBER),
  pattern(NUMBER, "\\s{0,4}(?:<=|≤)[^\\d\\n]{1,40}(?:<=|≤)\\s{0,4}", NUMBER),
];
/** The end of Gemini's range: `from 1 (inclusive) to 8193 (exclusive)`. */
const HALF_OPEN = pattern(
  "from\\s{1,4}",
  NUMBER,
  "\\s{0,4}\\(inclusive\\)\\s{0,4}to\\s{1,4}",
  NUMBER,
  "\\s{0,4}\\(exclusive\\)",
);
/** `5000 > 4096`: the sent value and the limit. */
const COMPARISON = pattern(NUMBER, "[\\s)`'\"]{0,4}>\\s{0,4}", NUMBER);

interface Bound {
  readonly words: RegExp;
  /** Distance of the first accepted value from the stated number. */
  readonly step: number;
}

const UPPER: readonly Bound[] = [
  { words: pattern("(?:<=|≤|at most|up to|supports?(?: only)?)", QUOTES, NUMBER), step: 0 },
  { words: pattern("(?:less|lower|smaller|fewer)(?: than)? or equal(?: to)?", QUOTES, NUMBER), step: 0 },
  {
    words: pattern("(?:not|no|never|n't)(?: be)? (?:more|greater|larger|higher|bigger) than", QUOTES, NUMBER),
    step: 0,
  },
  { words: pattern("\\b(?:max|maximum|exceed\\w*|limit\\w*|cap|capped|allows?)\\b", GAP, NUMBER), step: 0 },
  { words: pattern("(?:最大|上限|超过|大于)[^\\d\\n]{0,20}", NUMBER), step: 0 },
  {
    words: pattern(
      "(?:<(?!=)|(?:less|lower|smaller|fewer) than(?! or)|below|under)",
      QUOTES,
      NUMBER,
      "(?!\\s{0,4}>)",
    ),
    step: -1,
  },
  {
    words: pattern(
      "(?<!(?:must|should) be )(?:(?:greater|larger|higher|bigger|more) than(?! or)|above|over|beyond)",
      QUOTES,
      NUMBER,
    ),
    step: 0,
  },
  { words: pattern(NUMBER, "\\s{0,4}(?:tokens )?(?:is the )?(?:max|maximum|limit)\\b"), step: 0 },
];

const LOWER: readonly Bound[] = [
  {
    words: pattern(
      "(?:>=|≥|at least|(?:greater|more|larger|higher)(?: than)? or equal(?: to)?)",
      QUOTES,
      NUMBER,
    ),
    step: 0,
  },
  {
    words: pattern("(?:not|no|never|n't)(?: be)? (?:less|lower|smaller|fewer) than", QUOTES, NUMBER),
    step: 0,
  },
  { words: pattern("(?:>(?!=)|(?:greater|more|larger|higher) than(?! or)|above)", QUOTES, NUMBER), step: 1 },
  { words: pattern("\\b(?:min|minimum)\\b", GAP, NUMBER), step: 0 },
];

/** Joins `8,192` and `8_192` to one number. */
function withoutSeparators(text: string): string {
  return text.replace(/(?<![\d,_])\d{1,3}(?:[,_]\d{3})+(?![\d,_])/g, (number) => number.replace(/[,_]/g, ""));
}

function numbersOf(match: RegExpExecArray | null): readonly number[] | null {
  return match && match.slice(1).map(Number);
}

function* intervals(raw: string, text: string): Generator<readonly [min: number, max: number]> {
  const [from, before] = numbersOf(HALF_OPEN.exec(text)) ?? [];
  if (from !== undefined && before !== undefined) yield [from, before - 1];
  for (const regexp of BRACKETS) {
    const [, open, min, max, close] = regexp.exec(raw) ?? [];
    if (open) yield [Number(min) + (open === "(" ? 1 : 0), Number(max) - (close === ")" ? 1 : 0)];
  }
  for (const regexp of INTERVALS) {
    const [min, max] = numbersOf(regexp.exec(text)) ?? [];
    if (min !== undefined && max !== undefined) yield [min, max];
  }
}

/** The first interval of the text that does not contain the sent value. */
function interval(raw: string, text: string, sent: number): TokenRange | null {
  for (const [stated, max] of intervals(raw, text)) {
    const min = Math.max(stated, 1);
    if (max >= min && (sent > max || sent < min)) return { min, max };
  }
  return null;
}

function firstBound(
  text: string,
  bounds: readonly Bound[],
  accepts: (value: number) => boolean,
): number | null {
  for (const { words, step } of bounds) {
    for (const match of text.matchAll(new RegExp(words, "gi"))) {
      const value = Number(match[1]) + step;
      if (value >= 1 && accepts(value)) return value;
    }
  }
  return null;
}

/**
 * The range that a refusal of a token limit states. Only numbers that exclude the sent value count, so that neither the
 * sent value nor an unrelated number is taken for a limit.
 *
 * @param message text of the refusal
 * @param sent value of the refused parameter
 */
export function statedRange(message: string, sent: number): TokenRange | null {
  const text = withoutSeparators(message);
  const both = interval(message, text, sent);
  if (both) return both;
  const [left, right] = numbersOf(COMPARISON.exec(text)) ?? [];
  if (left === sent && right !== undefined && right >= 1 && right < sent) return { min: 1, max: right };
  const max = firstBound(text, UPPER, (value) => value < sent);
  if (max !== null) return { min: 1, max };
  const min = firstBound(text, LOWER, (value) => value > sent);
  return min === null ? null : { min, max: Number.POSITIVE_INFINITY };
}

const WINDOW: readonly RegExp[] = [
  pattern(NUMBER, "\\s{0,4}(?:tokens )?maximum context"),
  pattern("context (?:length|window|size)", GAP, NUMBER),
  pattern("must be\\s{0,4}<=?\\s{0,4}", NUMBER),
];

const PROMPT: readonly RegExp[] = [
  pattern(NUMBER, "\\s{0,4}[`'\"]?(?:input|inputs|prompt)[`'\"]?\\s{0,4}tokens"),
  pattern(NUMBER, "\\s{0,4}(?:tokens )?(?:in the (?:messages|prompt|input)|of text input)"),
  pattern("prompt (?:contains|has)\\s{0,4}", NUMBER),
];

function firstNumber(text: string, regexps: readonly RegExp[]): number | null {
  for (const regexp of regexps) {
    const match = regexp.exec(text);
    if (match) return Number(match[1]);
  }
  return null;
}

/**
 * Tokens that a server has left for the answer, if it refused prompt and answer together as too long for its window and
 * stated both numbers; null if the prompt alone is too long or the numbers are missing.
 */
export function statedRoom(message: string, sent: number): number | null {
  const text = withoutSeparators(message);
  const window = firstNumber(text, WINDOW);
  const prompt = firstNumber(text, PROMPT);
  if (window === null || prompt === null) return null;
  const room = window - prompt;
  return room >= MIN_ROOM && room < sent ? room : null;
}
