import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";

/** One import, export-from or dynamic import with a literal name. */
export interface ImportLine {
  /** As written in the source: a package, `node:…` or a relative path. */
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** A source file. The path is relative to the project root and uses `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/**
 * The import rules of docs/architecture.md: for each folder, what its files may import besides itself and `node:*`. A
 * name ending in `/` is a folder; any other name is a file without its extension.
 */
export const allowedImports: Readonly<Record<string, readonly string[]>> = {
  "src/core/": [],
  "src/config/": ["src/core/"],
  "src/auth/": ["src/core/"],
  "src/protocol/": ["src/core/"],
  "src/providers/": ["src/core/"],
  "src/providers/local/": ["src/core/", "src/providers/", "src/engine-wire/"],
  "src/chat/": ["src/core/", "src/providers/provider", "src/protocol/command-syntax"],
  "src/stores/": [
    "src/core/",
    "src/chat/answer-log",
    "src/chat/conversation-store",
    "src/chat/session-store",
  ],
  "src/session/": ["src/core/", "src/protocol/", "src/chat/", "src/auth/"],
  "src/session/delivery/": [
    "src/core/",
    "src/protocol/",
    "src/chat/abandon-timer",
    "src/chat/answer-log",
    "src/chat/running-answer",
  ],
  "src/session/limits/": ["src/core/", "src/protocol/"],
  "src/observability/": ["src/core/"],
  "src/transport/uws/": ["src/core/", "src/auth/", "src/protocol/close-codes", "src/session/"],
  "src/outbound/": ["src/core/"],
  "src/engine-wire/": ["src/core/"],
  "src/engine/": ["src/core/", "src/engine-wire/"],
  "src/engine/estimates/": ["src/core/", "src/engine/ports"],
  "src/engine/scheduling/": ["src/core/", "src/engine/ports", "src/engine/estimates/"],
  "src/engine/generation/": [
    "src/core/",
    "src/engine-wire/",
    "src/engine/ports",
    "src/engine/estimates/",
    "src/engine/scheduling/",
  ],
  "src/engine/speculation/": [
    "src/core/",
    "src/engine/ports",
    "src/engine/estimates/",
    "src/engine/generation/",
  ],
  "src/engine/kv/": [
    "src/core/",
    "src/engine-wire/",
    "src/engine/ports",
    "src/engine/estimates/",
    "src/engine/scheduling/",
    "src/engine/generation/",
  ],
  "src/engine/loop/": [
    "src/core/",
    "src/engine-wire/",
    "src/engine/ports",
    "src/engine/estimates/",
    "src/engine/scheduling/",
    "src/engine/generation/",
    "src/engine/speculation/",
    "src/engine/kv/",
  ],
  "src/engine/model/": ["src/core/", "src/engine-wire/", "src/engine/ports", "src/engine/generation/"],
  "src/engine/model/templates/": ["src/core/"],
  "src/engine/server/": ["src/core/", "src/engine-wire/", "src/engine/"],
  "src/engine-host/": ["src/core/", "src/engine-wire/"],
  "src/app/": [""],
  "src/": [""],
  "web/": ["src/protocol/"],
  "web/client/": ["src/protocol/"],
  "web/markdown/": [],
  "web/view/": ["src/protocol/", "web/client/", "web/markdown/"],
};

/** The import rules as the rows of the table in docs/architecture.md. */
export function importTable(): string[] {
  return Object.entries(allowedImports).map(([folder, targets]) => {
    const named = targets.map((target) => (target === "" ? "everything" : `\`${target}\``));
    return `| \`${folder}\` | ${named.length === 0 ? "nothing" : named.join(", ")} |`;
  });
}

/** For each guarded library, the only folder that may import it. */
export const libraryOwners: Readonly<Record<string, string>> = {
  "uWebSockets.js": "src/transport/uws/",
  "node-llama-cpp": "src/engine/model/",
  "@huggingface/jinja": "src/engine/model/",
  openai: "src/providers/openai/",
  "@huggingface/inference": "src/providers/huggingface/",
  "fast-jwt": "src/auth/",
  undici: "src/outbound/",
};

const IMPORT_FORMS = [
  /^[ \t]*(?:import|export)\s+(type\s)?[^;"'()]*?\bfrom\s*["']([^"']+)["']/gm,
  /^[ \t]*import()\s*["']([^"']+)["']/gm,
  /(?<![\w.])(?:import|require)()\(\s*["']([^"']+)["']\s*\)/g,
];

/** The imports of a source text, without those in comments. */
export function importsOf(text: string): ImportLine[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  return IMPORT_FORMS.flatMap((form) =>
    [...code.matchAll(form)].map((match) => ({
      specifier: match[2] ?? "",
      typeOnly: match[1] !== undefined && match[1] !== "",
    })),
  );
}

/** All TypeScript files below the given folders of the project at `root`. */
export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => {
        const file = join(root, folder, name);
        return { path: relative(root, file).split(sep).join("/"), text: readFileSync(file, "utf8") };
      }),
  );
}

/** Target of a relative import as a path from the project root; undefined for packages. */
function targetOf(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : undefined;
}

/** The most specific rule for a file. */
function rowOf(path: string): string | undefined {
  return Object.keys(allowedImports)
    .filter((folder) => path.startsWith(folder) && (folder !== "src/" || !path.slice(4).includes("/")))
    .toSorted((a, b) => b.length - a.length)[0];
}

function mayImport(row: string, target: string): boolean {
  return [row, ...(allowedImports[row] ?? [])].some((allowed) =>
    allowed === "" || allowed.endsWith("/") ? target.startsWith(allowed) : target === `${allowed}.ts`,
  );
}

/** One line for each import that {@link allowedImports} or {@link libraryOwners} forbids. */
export function importFaults(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const row = rowOf(file.path);
    if (row === undefined) return [`${file.path} is in a folder without an import rule`];
    return importsOf(file.text).flatMap((line) => lineFault(file.path, row, line) ?? []);
  });
}

function lineFault(path: string, row: string, { specifier, typeOnly }: ImportLine): string | undefined {
  const target = targetOf(path, specifier);
  if (target === undefined) return libraryFault(path, specifier);
  if (!mayImport(row, target)) return `${path} may not import ${target}`;
  if (row.startsWith("web/") && !target.startsWith("web/") && !typeOnly)
    return `${path} may import only types of ${target}`;
  return undefined;
}

function libraryFault(path: string, specifier: string): string | undefined {
  const library = Object.keys(libraryOwners).find(
    (name) => specifier === name || specifier.startsWith(`${name}/`),
  );
  if (library !== undefined && !path.startsWith(libraryOwners[library] ?? "")) {
    return `${path} may not import ${specifier}: only ${libraryOwners[library]} may`;
  }
  return path.startsWith("web/") ? `${path} may not import the package ${specifier}` : undefined;
}

/** Each import cycle once, as `a.ts → b.ts → a.ts`. Type imports count. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = new Map(
    files.map((file) => [
      file.path,
      importsOf(file.text).flatMap(({ specifier }) => targetOf(file.path, specifier) ?? []),
    ]),
  );
  const cycles: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push([...trail.slice(at), path].join(" → "));
    if (at >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return cycles;
}

/** One line for each file with more than `maxLines` lines. */
export function longFiles(files: readonly SourceFile[], maxLines: number): string[] {
  return files
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > maxLines)
    .map(({ path, lines }) => `${path} has ${lines} lines, more than ${maxLines}`);
}
