import { settingGroups } from "./schema.ts";
import type { Setting } from "./setting.ts";

const COMMENT_WIDTH = 100;

const groups = Object.entries(settingGroups) as [string, Readonly<Record<string, Setting<unknown>>>][];

/** The text of `.env.example`: every setting with its default, commented out, so that a plain copy changes nothing. */
export function renderEnvExample(): string {
  const head = [
    "# Settings of the chat service. Copy this file to .env, take the # off the lines you want to change, and restart.",
    "# Real environment variables win over this file. docs/configuration.md says more.",
    "#",
    "# This file is made from src/config/schema.ts by `npm run docs`; change it there.",
  ];
  const blocks = groups.map(([title, group]) => {
    const settings = Object.entries(group).map(([name, setting]) => exampleOf(name, setting).join("\n"));
    return [`# ---- ${title} ----`, ...settings].join("\n\n");
  });
  return `${[head.join("\n"), ...blocks].join("\n\n")}\n`;
}

function exampleOf(name: string, setting: Setting<unknown>): string[] {
  const lines = [...wrap(setting.doc), ...wrap(`Allowed: ${setting.allowed}.`)];
  const literal = literalDefault(setting);
  if (literal !== undefined) return [...lines, `#${name}=${quoted(literal)}`];
  const shown = setting.shownDefault === "" ? "not set" : setting.shownDefault;
  return [...lines, ...wrap(`Default: ${shown}.`), `#${name}=`];
}

/** The text of the default where it can be written as a value; undefined where it is absent or found at start. */
function literalDefault(setting: Setting<unknown>): string | undefined {
  const shown = setting.shownDefault;
  if (shown === "" && setting.fallback === undefined) return undefined;
  try {
    return JSON.stringify(setting.parse(shown)) === JSON.stringify(setting.fallback) ? shown : undefined;
  } catch {
    return undefined; // A description such as "openai when it has a key", which is no value.
  }
}

function quoted(value: string): string {
  if (!/[\s#"'\\$]/.test(value)) return value;
  return `"${value.replace(/[\\"$]/g, String.raw`\$&`).replaceAll("\n", String.raw`\n`)}"`;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > COMMENT_WIDTH && line !== "#") {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

const PAGE_HEAD = `<!-- Made from src/config/schema.ts by \`npm run docs\`; change it there. -->

# Configuration

The service starts without any setting. To change one, set an environment variable of its name, or write it into a
file \`.env\` in the folder where the service starts; [\`.env.example\`](../.env.example) holds every setting to copy from.

- **A real environment variable wins** over the same name in \`.env\`.
- **A wrong value stops the start** with one message that lists every fault: the name, what was given, what is allowed.
  Values of secrets are never shown.
- **An empty value is a value**: \`OPENAI_API_KEY=\` is refused rather than taken for "not set", since it is nearly always a
  template that was not filled in. Remove the line to use the default. Lists, and \`SYSTEM_PROMPT\`, may be empty.
- **An unknown variable** that begins like a setting (\`AI_\`, \`LOCAL_\`, \`MAX_\`, \`JWT_\` and so on) is a warning at start with
  the nearest name.
- **In \`.env\`** a line is \`NAME=value\`, with or without \`export\`. A \`#\` at the beginning of a line, or behind a blank, begins
  a comment. In 'single quotes' everything is literal; in "double quotes" \`\\n\`, \`\\r\`, \`\\t\`, \`\\\\\`, \`\\"\` and \`\\$\` are escapes;
  both may span lines. Variables are not expanded.`;

const PAGE_FOOT = `## Settings that go together

- At most one of \`JWT_SECRET\`, \`JWT_PUBLIC_KEY\` and \`JWT_PUBLIC_KEY_FILE\` may be set: the kind of the key fixes the algorithm
  (HS256; RS256, ES256 or EdDSA), and tokens of any other are refused. Without one of them \`/ws/chat/auth\` refuses everybody.
- \`JWT_SECRET\` needs at least 32 bytes; \`openssl rand -base64 48\` makes a good one. RSA keys need at least 2048 bits,
  EC keys the curve P-256, EdDSA keys Ed25519.
- \`MAX_OUTPUT_TOKENS\` must be less than \`LOCAL_CONTEXT_SIZE\` where that is set.
- \`AI_FALLBACK=none\` stands alone.
- The request line and the headers of a connection may hold at most 4,096 bytes together, cookies included. A long token
  fits better into \`Authorization: Bearer\` or the subprotocol than beside large cookies in the query.`;

/** The text of `docs/configuration.md`. */
export function renderConfigurationPage(): string {
  const sections = groups.map(([title, group]) => `## ${title}\n\n${tableOf(group)}`);
  return `${[PAGE_HEAD, ...sections, PAGE_FOOT].join("\n\n")}\n`;
}

function tableOf(group: Readonly<Record<string, Setting<unknown>>>): string {
  const rows = Object.entries(group).map(([name, setting]) => {
    const doc = setting.secret ? `${setting.doc} Secret: never shown or logged.` : setting.doc;
    return [`\`${name}\``, shownDefault(setting), escapeText(setting.allowed), escapePipes(doc)];
  });
  const lines = [["Name", "Default", "Allowed", "What it does"], ["---", "---", "---", "---"], ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function shownDefault(setting: Setting<unknown>): string {
  const literal = literalDefault(setting);
  if (literal !== undefined && literal !== "") return `\`${escapePipes(literal)}\``;
  if (literal === "") return "empty";
  return setting.shownDefault === "" ? "not set" : escapeText(setting.shownDefault);
}

/** A pipe would end the cell of the table, also within backticks. */
function escapePipes(markdown: string): string {
  return markdown.replaceAll("|", String.raw`\|`).replaceAll("\n", " ");
}

function escapeText(text: string): string {
  return escapePipes(text.replace(/[\\*`<]/g, String.raw`\$&`));
}
