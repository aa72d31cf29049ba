import { homedir } from "node:os";

/** One setting: its parser, default, allowed values and documentation. */
export interface Setting<T> {
  /** Parses the text of the variable. @throws Error whose message states the allowed values */
  readonly parse: (text: string) => T;
  readonly fallback: T;
  /** Allowed values in readable form: `1..65535`, `true, false`, `text`. */
  readonly allowed: string;
  /** The default as shown in the docs. */
  readonly shownDefault: string;
  readonly doc: string;
  /** Whether the value must never be printed or logged. */
  readonly secret: boolean;
}

interface Doc {
  readonly doc: string;
  readonly secret?: boolean;
  /** Shown in the docs instead of the default if that is computed at start. */
  readonly shownDefault?: string;
}

function setting<T>(
  parse: (text: string) => T,
  fallback: T,
  allowed: string,
  shown: string,
  doc: Doc,
): Setting<T> {
  return {
    parse,
    fallback,
    allowed,
    shownDefault: doc.shownDefault ?? shown,
    doc: doc.doc,
    secret: doc.secret ?? false,
  };
}

function refuse(allowed: string): never {
  throw new Error(`allowed: ${allowed}`);
}

function parseNumber(text: string, min: number, max: number, whole: boolean, allowed: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < min || value > max) refuse(allowed);
  if (whole && !Number.isInteger(value)) refuse(allowed);
  return value;
}

/** A whole number from `min` to `max`, inclusive. */
export function integer(min: number, max: number, fallback: number, doc: Doc): Setting<number> {
  const allowed = `whole number ${min}..${max}`;
  return setting(
    (text) => parseNumber(text, min, max, true, allowed),
    fallback,
    allowed,
    String(fallback),
    doc,
  );
}

/** A whole number, or `auto` (undefined) for a value computed at start. */
export function autoInteger(min: number, max: number, doc: Doc): Setting<number | undefined> {
  const allowed = `auto, or whole number ${min}..${max}`;
  const parse = (text: string) => (text === "auto" ? undefined : parseNumber(text, min, max, true, allowed));
  return setting<number | undefined>(parse, undefined, allowed, "auto", doc);
}

/** A number from `min` to `max`, inclusive. */
export function number(min: number, max: number, fallback: number, doc: Doc): Setting<number> {
  const allowed = `number ${min}..${max}`;
  return setting(
    (text) => parseNumber(text, min, max, false, allowed),
    fallback,
    allowed,
    String(fallback),
    doc,
  );
}

/** Text. An empty value is rejected because it is nearly always a template that was not filled in. */
export function text(fallback: string, doc: Doc): Setting<string> {
  const allowed = "text, not empty";
  const parse = (value: string) => (value.trim() === "" ? refuse(allowed) : value);
  return setting(parse, fallback, allowed, fallback, doc);
}

/** Text that may be empty. */
export function anyText(fallback: string, doc: Doc): Setting<string> {
  return setting((value: string) => value, fallback, "text", fallback, doc);
}

/** Text without a default. An empty value is rejected. */
export function optionalText(doc: Doc): Setting<string | undefined> {
  const allowed = "text, not empty";
  const parse = (value: string): string | undefined => (value.trim() === "" ? refuse(allowed) : value);
  return setting<string | undefined>(parse, undefined, allowed, "", doc);
}

/** Path of a file, without a default. A leading `~` is the home folder: a shell does not replace it in `.env`. */
export function optionalPath(doc: Doc): Setting<string | undefined> {
  const text = optionalText(doc);
  const parse = (value: string): string | undefined =>
    text.parse(value)?.replace(/^~(?=$|[/\\])/, () => homedir());
  return { ...text, parse };
}

/** `true` or `false` (also `1`, `0`, `yes`, `no`, `on`, `off`). */
export function flag(fallback: boolean, doc: Doc): Setting<boolean> {
  const parse = (value: string): boolean => {
    if (/^(true|1|yes|on)$/i.test(value)) return true;
    return /^(false|0|no|off)$/i.test(value) ? false : refuse("true, false");
  };
  return setting(parse, fallback, "true, false", String(fallback), doc);
}

/** One of the given words. */
export function choice<const T extends string>(words: readonly T[], fallback: T, doc: Doc): Setting<T> {
  const allowed = words.join(", ");
  const parse = (value: string): T => words.find((word) => word === value) ?? refuse(allowed);
  return setting(parse, fallback, allowed, fallback, doc);
}

/** Comma-separated words; surrounding whitespace is ignored. A word is rejected if `check` returns false. */
export function list(
  fallback: readonly string[],
  allowed: string,
  doc: Doc,
  check: (word: string) => boolean = () => true,
): Setting<readonly string[]> {
  const parse = (value: string): readonly string[] => {
    const words = wordsOf(value);
    return words.every(check) ? words : refuse(allowed);
  };
  return setting<readonly string[]>(parse, fallback, allowed, fallback.join(","), doc);
}

function wordsOf(value: string): string[] {
  return value
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

/** Comma-separated words, each converted by `convert`, whose errors state the fault of a word. Empty by default. */
export function mappedList(
  allowed: string,
  doc: Doc,
  convert: (word: string) => string,
): Setting<readonly string[]> {
  const parse = (value: string): readonly string[] =>
    wordsOf(value).map((word) => {
      try {
        return convert(word);
      } catch (error) {
        const { message } = error as Error;
        // The word of a fault may hold a password only before an `@`.
        const about = word.includes("@") ? "" : `${JSON.stringify(word)}: `;
        throw new Error(`allowed: ${allowed} (${about}${message})`, { cause: error });
      }
    });
  return setting<readonly string[]>(parse, [], allowed, "", doc);
}

/** A list that may be absent. `undefined` means "not set", which differs from an empty list. */
export function optionalList(
  allowed: string,
  doc: Doc,
  check: (word: string) => boolean = () => true,
): Setting<readonly string[] | undefined> {
  const inner = list([], allowed, doc, check);
  return { ...inner, parse: inner.parse, fallback: undefined };
}
