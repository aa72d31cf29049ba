import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";

/** One import, export-from or dynamic import with a literal name. */
export interface ImportLine {
  /** As written: a package, `node:…` or a relative path. */
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** A source file, its path relative to the root of the project and with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/**
 * Who may import whom: folder to what it may import besides itself and `node:*`. A word that ends in `/` stands for a
 * folder, another one for a file without its ending. This is the table of docs/architecture.md.
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
  "src/observability/": ["src/core/"],
  "src/transport/uws/": ["src/core/", "src/auth/", "src/protocol/close-codes", "src/session/"],
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
  "src/engine/server/": ["src/core/", "src/engine-wire/", "src/engine/"],
  "src/engine-host/": ["src/core/", "src/engine-wire/"],
  "src/app/": [""],
  "src/": [""],
  "web/": ["src/protocol/"],
  "web/client/": ["src/protocol/"],
  "web/markdown/": [],
  "web/view/": ["src/protocol/", "web/client/", "web/markdown/"],
};

/** The only folder that may load a library. */
export const libraryOwners: Readonly<Record<string, string>> = {
  "uWebSockets.js": "src/transport/uws/",
  "node-llama-cpp": "src/engine/model/",
  openai: "src/providers/openai/",
  "@huggingface/inference": "src/providers/huggingface/",
  "fast-jwt": "src/auth/",
};

const IMPORT_FORMS = [
  /^[ \t]*(?:import|export)\s+(type\s)?[^;"'()]*?\bfrom\s*["']([^"']+)["']/gm,
  /^[ \t]*import()\s*["']([^"']+)["']/gm,
  /(?<![\w.])(?:import|require)()\(\s*["']([^"']+)["']\s*\)/g,
];

/** The imports of a source text. Comments do not count. */
export function importsOf(text: string): ImportLine[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  return IMPORT_FORMS.flatMap((form) =>
    [...code.matchAll(form)].map((match) => ({
      specifier: match[2] ?? "",
      typeOnly: match[1] !== undefined && match[1] !== "",
    })),
  );
}

/** All TypeScript files below some folders of the project at `root`. */
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

/** Path of a relative import from the root of the project; undefined for packages. */
function targetOf(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : undefined;
}

/** The most precise row of the table for a file. */
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

/** One line for each import that the table or the ownership of libraries forbids. */
export function importFaults(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => {
    const row = rowOf(file.path);
    if (row === undefined) return [`${file.path} lies in a folder that the table does not know`];
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
    return `${path} may not import ${specifier}: only ${libraryOwners[library]} does`;
  }
  return path.startsWith("web/") ? `${path} may not import the package ${specifier}` : undefined;
}

/** Each import cycle once, as `a.ts → b.ts → a.ts`; imports of types count. */
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

/** Files that are too long to be understood in one reading. */
export function longFiles(files: readonly SourceFile[], most: number): string[] {
  return files
    .map(({ path, text }) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > most)
    .map(({ path, lines }) => `${path} has ${lines} lines, more than ${most}`);
}
