/** Content of a `.env` file. */
export interface EnvFile {
  readonly values: ReadonlyMap<string, string>;
  /** One line per malformed entry, with its line number. Malformed entries set no variable. */
  readonly faults: readonly string[];
}

interface Scan {
  readonly text: string;
  position: number;
  line: number;
}

const ASSIGNMENT = /(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=/y;
const REST_AFTER_QUOTE = /[ \t]*(?:#[^\n]*)?(?:\n|$)/y;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "\\": "\\", '"': '"', $: "$" };

/**
 * Parses a `.env` file: `NAME=value` lines, `#` comments (after a value only if whitespace precedes the `#`), an
 * optional `export`, single quotes (literal) and double quotes (`\n`, `\r`, `\t`, `\\`, `\"`, `\$`). Quoted values may
 * span lines. Variables are not expanded. If a name occurs twice, the later line wins.
 *
 * `util.parseEnv` is not used because it is missing before Node 20.12 and silently skips malformed lines.
 */
export function parseEnvFile(text: string): EnvFile {
  const values = new Map<string, string>();
  const faults: string[] = [];
  const scan: Scan = { text: text.replace(/^\uFEFF/, "").replaceAll(/\r\n?/g, "\n"), position: 0, line: 1 };
  while (scan.position < scan.text.length) {
    const line = scan.line;
    const entry = readEntry(scan);
    if (entry === undefined) continue;
    if (typeof entry === "string") faults.push(`line ${line}: ${entry}`);
    else values.set(entry[0], entry[1]);
  }
  return { values, faults };
}

/** Reads one entry, which may span lines. Returns a string that describes the fault if the entry is malformed. */
function readEntry(scan: Scan): [name: string, value: string] | string | undefined {
  const lineEnd = endOfLine(scan);
  const line = scan.text.slice(scan.position, lineEnd);
  if (/^[ \t]*(#|$)/.test(line)) return moveTo(scan, lineEnd + 1);
  const start = scan.position + (/^[ \t]*/.exec(line)?.[0].length ?? 0);
  ASSIGNMENT.lastIndex = start;
  const match = ASSIGNMENT.exec(scan.text);
  if (!match || ASSIGNMENT.lastIndex > lineEnd) {
    moveTo(scan, lineEnd + 1);
    return "not of the form NAME=value";
  }
  const name = match[1] ?? "";
  const afterEquals = ASSIGNMENT.lastIndex;
  const raw = scan.text.slice(afterEquals, lineEnd);
  const valueAt = afterEquals + raw.length - raw.trimStart().length;
  const quote = scan.text[valueAt];
  const quoted = quote === '"' || quote === "'";
  const value = quoted ? readQuoted(scan, valueAt, quote) : readPlain(raw, lineEnd);
  if (value.fault !== undefined) {
    moveTo(scan, lineEnd + 1);
    return `${name}: ${value.fault}`;
  }
  moveTo(scan, value.end);
  return [name, value.text];
}

type Value = { text: string; end: number; fault?: undefined } | { fault: string };

function readPlain(raw: string, lineEnd: number): Value {
  const text = raw.replace(/[ \t]#.*$/, "").trim();
  return text.includes("\0") ? { fault: "contains a NUL character" } : { text, end: lineEnd + 1 };
}

function readQuoted(scan: Scan, valueAt: number, quote: string): Value {
  let text = "";
  for (let at = valueAt + 1; at < scan.text.length; at++) {
    const char = scan.text[at] ?? "";
    if (char === quote) {
      REST_AFTER_QUOTE.lastIndex = at + 1;
      if (!REST_AFTER_QUOTE.test(scan.text)) return { fault: "there is text after the closing quote" };
      return text.includes("\0")
        ? { fault: "contains a NUL character" }
        : { text, end: REST_AFTER_QUOTE.lastIndex };
    }
    const escaped = char === "\\" && quote === '"' ? ESCAPES[scan.text[at + 1] ?? ""] : undefined;
    if (escaped !== undefined) at++;
    text += escaped ?? char;
  }
  return { fault: `the opening ${quote} is never closed` };
}

function endOfLine(scan: Scan): number {
  const end = scan.text.indexOf("\n", scan.position);
  return end < 0 ? scan.text.length : end;
}

function moveTo(scan: Scan, position: number): undefined {
  for (let at = scan.position; at < position; at++) if (scan.text[at] === "\n") scan.line++;
  scan.position = position;
  return undefined;
}
