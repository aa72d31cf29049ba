/** A parsed command: a message that begins with one slash. */
export interface ParsedCommand {
  /** Lower case, without the slash. */
  readonly name: string;
  /** Values by name, in order of appearance; names are in lower case. */
  readonly args: ReadonlyMap<string, string>;
}

/** What a message is. */
export type MessageSyntax =
  /** Chat text; a double slash at its start is reduced to one. */
  | { readonly kind: "chat"; readonly text: string }
  | { readonly kind: "command"; readonly command: ParsedCommand }
  /** A command whose arguments cannot be parsed; `fault` names the position and what was expected. */
  | { readonly kind: "malformed"; readonly name: string; readonly fault: string };

/**
 * Closing quotes by opening quote: those of keyboards, and the pairs that languages use and editors insert. Every other
 * quote inside the value is text.
 */
const closers: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["'", "'"],
  ["“", "”"],
  ["‘", "’"],
  // German and others close „ by “, Polish and others by ”. Swedish and Finnish use one quote on both sides.
  ["„", "“”"],
  ["‚", "‘’"],
  ["”", "”"],
  ["’", "’"],
  // French « », Danish and German » «, Finnish » ».
  ["«", "»"],
  ["»", "«»"],
  ["‹", "›"],
  ["›", "‹›"],
  ["「", "」"],
  ["『", "』"],
  ["〝", "〞〟"],
  ["＂", "＂"],
  // Further shapes of “ ” ‘ ’, and primes in their place.
  ["‟", "”"],
  ["‛", "’"],
  ["❝", "❞"],
  ["❛", "❜"],
  ["″", "″"],
  ["′", "′"],
]);
/** French guillemets, whose inner spaces are typography. */
const SPACED = "«‹";

const NAME = /[A-Za-z_][A-Za-z0-9_-]*/y;
const COMMAND = /^\/([A-Za-z][A-Za-z0-9_-]*)(?=\s|$)/;
const BLANK = /\s/;

/**
 * Distinguishes commands from chat. A command is `/name key="value" key=value …`; whitespace before the slash is
 * ignored. `//text` is the chat text `/text`.
 */
export function parseMessage(message: string): MessageSyntax {
  const text = message.trimStart();
  if (text.startsWith("//")) return { kind: "chat", text: text.slice(1) };
  if (!text.startsWith("/")) return { kind: "chat", text: message };
  const match = COMMAND.exec(text);
  if (match === null) {
    const name = text.slice(1).split(/\s/, 1)[0] ?? "";
    return { kind: "command", command: { name: name.toLowerCase(), args: new Map() } };
  }
  const name = (match[1] as string).toLowerCase();
  const args = parseArguments(text, match[0].length);
  return typeof args === "string"
    ? { kind: "malformed", name, fault: args }
    : { kind: "command", command: { name, args } };
}

/** The arguments from `start` on, or a description of the first syntax error. */
function parseArguments(text: string, start: number): Map<string, string> | string {
  const args = new Map<string, string>();
  let at = skipBlanks(text, start);
  while (at < text.length) {
    NAME.lastIndex = at;
    const name = NAME.exec(text)?.[0];
    if (name === undefined) return `expected a name such as text="…" at character ${at + 1}`;
    at += name.length;
    if (text[at] !== "=") return `expected = after ${name} at character ${at + 1}`;
    const value = readValue(text, at + 1);
    if (value === undefined) return `the value of ${name} has no closing quote`;
    const key = name.toLowerCase();
    if (args.has(key)) return `${name} is given twice`;
    args.set(key, value.text);
    if (value.end < text.length && !BLANK.test(text[value.end] as string)) {
      return `expected a space after the value of ${name} at character ${value.end + 1}`;
    }
    at = skipBlanks(text, value.end);
  }
  return args;
}

function skipBlanks(text: string, at: number): number {
  while (at < text.length && BLANK.test(text[at] as string)) at++;
  return at;
}

/** Reads the value at `at`; undefined if its closing quote is missing. */
function readValue(text: string, at: number): { text: string; end: number } | undefined {
  const opener = text[at] ?? "";
  const closing = closers.get(opener);
  if (closing === undefined) {
    let end = at;
    while (end < text.length && !BLANK.test(text[end] as string)) end++;
    return { text: text.slice(at, end), end };
  }
  let value = "";
  for (let index = at + 1; index < text.length; index++) {
    const char = text[index] as string;
    const next = text[index + 1];
    if (char === "\\" && (next === '"' || next === "'" || next === "\\")) {
      value += next;
      index++;
    } else if (closing.includes(char)) {
      return { text: SPACED.includes(opener) ? value.trim() : value, end: index + 1 };
    } else {
      value += char;
    }
  }
  return undefined;
}
