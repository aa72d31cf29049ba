import { settingGroups } from "./schema.ts";
import type { Setting } from "./setting.ts";

const COMMENT_WIDTH = 100;

const groups = Object.entries(settingGroups) as [string, Readonly<Record<string, Setting<unknown>>>][];

/** Text of `.env.example`: every setting with its default, commented out, so that an unchanged copy has no effect. */
export function renderEnvExample(): string {
  const head = [
    "# Settings of the chat service. Copy this file to .env, uncomment the lines you want to change, and restart.",
    "# Environment variables take precedence over this file. See docs/configuration.md for details.",
    "#",
    "# Generated from src/config/schema.ts by `npm run docs`. Edit the schema, not this file.",
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

/** The default as a literal value. Undefined if there is none or if it is computed at start. */
function literalDefault(setting: Setting<unknown>): string | undefined {
  const shown = setting.shownDefault;
  if (shown === "" && setting.fallback === undefined) return undefined;
  try {
    return JSON.stringify(setting.parse(shown)) === JSON.stringify(setting.fallback) ? shown : undefined;
  } catch {
    return undefined; // A description such as "openai if OPENAI_API_KEY is set" is not a value.
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

const PAGE_HEAD = `<!-- Generated from src/config/schema.ts by \`npm run docs\`. Edit the schema, not this file. -->

# Configuration

The service runs without any settings. To change a setting, set an environment variable of that name, or add it to a
\`.env\` file in the folder where the service is started. [\`.env.example\`](../.env.example) lists every setting.

- **Environment variables take precedence** over the same name in \`.env\`.
- **An invalid value prevents the start.** One message lists every error: the setting, the given value, and the allowed
  values. Values of secrets are never shown.
- **An empty value is an error** for most settings: \`OPENAI_API_KEY=\` is nearly always a template that was not filled
  in. Remove the line to use the default. Lists and \`SYSTEM_PROMPT\` may be empty.
- **An unknown variable** with the prefix of a setting (\`AI_\`, \`LOCAL_\`, \`MAX_\`, \`JWT_\` and so on), or with a name
  that differs little from a setting (\`PROT\`, \`port\`), causes a warning at start that suggests the nearest name.

## The file \`.env\`

- The file is UTF-8. UTF-16 (as some Windows editors and \`>\` of PowerShell write) and Latin-1 are refused with one line.
- A line is \`NAME=value\`, optionally preceded by \`export\`.
- A \`#\` at the beginning of a line or after whitespace starts a comment.
- In 'single quotes' everything is literal. In "double quotes" \`\\n\`, \`\\r\`, \`\\t\`, \`\\\\\`, \`\\"\` and \`\\$\` are escapes.
  Both kinds of quotes may span lines.
- Variables are not expanded.`;

const PAGE_FOOT = `## Constraints between settings

- At most one of \`JWT_SECRET\`, \`JWT_PUBLIC_KEY\` and \`JWT_PUBLIC_KEY_FILE\` may be set. The type of the key determines the
  algorithm (HS256, RS256, ES256 or EdDSA), and tokens signed with any other algorithm are refused. If none is set,
  \`/ws/chat/auth\` refuses every connection.
- \`JWT_SECRET\` must have at least 32 bytes; \`openssl rand -base64 48\` generates one. RSA keys must have at least 2048
  bits, EC keys must use the curve P-256, and EdDSA keys must use Ed25519.
- \`MAX_OUTPUT_TOKENS\` must be less than \`LOCAL_CONTEXT_SIZE\` if that is set.
- \`AI_FALLBACK=none\` cannot be combined with providers.
- The request line and headers of a connection may have at most 4,096 bytes in total, cookies included. Send a long
  token in \`Authorization: Bearer\` or in the subprotocol rather than in the query.`;

/** Text of `docs/configuration.md`. */
export function renderConfigurationPage(): string {
  const sections = groups.map(([title, group]) => `## ${title}\n\n${tableOf(group)}`);
  return `${withContents([PAGE_HEAD, ...sections, PAGE_FOOT].join("\n\n"))}\n`;
}

/** The page with links to its sections below its title. */
function withContents(page: string): string {
  const titles = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1] as string);
  const links = titles.map((title) => `- [${title}](#${anchorOf(title)})`);
  return page.replace("# Configuration\n", `# Configuration\n\n${links.join("\n")}\n`);
}

/** The anchor that GitHub gives to a heading. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");
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

/** A pipe would end the table cell, even inside backticks. */
function escapePipes(markdown: string): string {
  return markdown.replaceAll("|", String.raw`\|`).replaceAll("\n", " ");
}

function escapeText(text: string): string {
  return escapePipes(text.replace(/[\\*`<]/g, String.raw`\$&`));
}
