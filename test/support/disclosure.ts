import { providerSettings } from "../../src/config/provider-settings.ts";
import { settings } from "../../src/config/schema.ts";

const SETTINGS = Object.keys({ ...settings, ...providerSettings }).filter(
  (name) => name.includes("_") || /^(HOST|PORT)$/.test(name),
);

const disclosures: readonly [string, RegExp][] = [
  ["a setting", new RegExp(`\\b(${SETTINGS.join("|")})\\b|\\b[A-Z]{2,}_[A-Z_]{2,}\\b`)],
  [
    "a path of a file",
    /(^|[\s"'(=])(\.{0,2}|~)\/(?!help\b|ws\/chat|healthz|readyz|metrics)[\w.-]+|[A-Z]:\\|\b[\w-]+\.(gguf|json|js|ts|env|sock|log|pem)\b/,
  ],
  ["a key", /\b(sk|hf)[-_]\w+/i],
  ["an address", /https?:\/\/|\b\d{1,3}(\.\d{1,3}){3}\b|\blocalhost\b|\.(invalid|example|com|org|local)\b/i],
  [
    "a cause of the system",
    /\b(E[A-Z]{4,}|UND_ERR\w*|DEPTH_ZERO\w*|SIG[A-Z]{3,})\b|\bstatus \d{3}\b|npm run/,
  ],
];

/**
 * What a text for clients discloses about the machine or its configuration, such as "a setting"; undefined if nothing.
 */
export function findDisclosure(text: string): string | undefined {
  const found = disclosures.find(([, pattern]) => pattern.test(text));
  return found && `${found[0]}: ${JSON.stringify(found[1].exec(text)?.[0])} in ${JSON.stringify(text)}`;
}

/**
 * As {@link findDisclosure}, for every string in a frame. Strings of `ignored`, such as an echoed message, are skipped.
 */
export function findDisclosureIn(
  value: unknown,
  ignored: ReadonlySet<string> = new Set(),
): string | undefined {
  if (typeof value === "string") return ignored.has(value) ? undefined : findDisclosure(value);
  if (typeof value !== "object" || value === null) return undefined;
  for (const part of Object.values(value)) {
    const found = findDisclosureIn(part, ignored);
    if (found !== undefined) return found;
  }
  return undefined;
}
