/**
 * Generates `.env.example` and `docs/configuration.md` from the settings schema.
 * With `--check`, writes nothing and fails if a file is out of date.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { renderConfigurationPage, renderEnvExample } from "../src/config/docs.ts";

const pages = [
  { path: ".env.example", text: renderEnvExample() },
  { path: "docs/configuration.md", text: renderConfigurationPage() },
];

function main(args: readonly string[], root: string): number {
  if (args.some((arg) => arg !== "--check")) {
    process.stderr.write("usage: npm run docs [-- --check]\n");
    return 2;
  }
  const stale = pages.filter((page) => readIfPresent(join(root, page.path)) !== page.text);
  if (args.includes("--check")) {
    for (const page of stale) process.stderr.write(`${page.path} is not up to date: run \`npm run docs\`\n`);
    return stale.length > 0 ? 1 : 0;
  }
  for (const page of stale) {
    mkdirSync(dirname(join(root, page.path)), { recursive: true });
    writeFileSync(join(root, page.path), page.text);
    process.stdout.write(`wrote ${page.path}\n`);
  }
  return 0;
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

process.exitCode = main(process.argv.slice(2), join(import.meta.dirname, ".."));
