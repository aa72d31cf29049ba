import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
  allowedImports,
  importCycles,
  importFaults,
  importsOf,
  importTable,
  libraryOwners,
  longFiles,
  readSources,
} from "../support/import-rules.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = readSources(root, ["src", "web"]);

function file(path: string, ...imports: string[]) {
  return { path, text: imports.map((name) => `import { x } from "${name}";`).join("\n") };
}

describe("the source files", () => {
  it("are found with their imports", () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.map(({ path }) => path)).toContain("src/core/errors.ts");
    expect(sources.flatMap(({ text }) => importsOf(text)).length).toBeGreaterThan(100);
  });

  it("import only what the import rules allow", () => {
    expect(importFaults(sources)).toEqual([]);
  });

  it("have an import rule for each engine folder, and each rule names an existing folder", () => {
    const folders = readdirSync(join(root, "src/engine"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `src/engine/${name}/`);
    expect(folders.filter((folder) => !(folder in allowedImports))).toEqual([]);
    expect(Object.keys(allowedImports).filter((folder) => !existsSync(join(root, folder)))).toEqual([]);
  });

  it("have the import rules that docs/architecture.md shows", () => {
    const page = readFileSync(join(root, "docs/architecture.md"), "utf8");
    const section = page.slice(page.indexOf("## Import rules\n"));
    const rows = section
      .slice(0, section.indexOf("\n## "))
      .split("\n")
      .filter((line) => line.startsWith("| `"));
    expect(rows).toEqual(importTable());
  });

  it("have no import cycle", () => {
    expect(importCycles(sources)).toEqual([]);
  });

  it("have at most 300 lines each", () => {
    expect(longFiles(sources, 300)).toEqual([]);
  });

  it("have unique file names in src", () => {
    const names = sources
      .filter(({ path }) => path.startsWith("src/"))
      .map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it("use # for private members instead of the private or protected keyword", () => {
    const offenders = sources.filter(({ text }) => /^\s*(private|protected)\s/m.test(withoutComments(text)));
    expect(offenders.map(({ path }) => path)).toEqual([]);
  });

  it("read process.env in one file only", () => {
    const readers = sources.filter(({ text }) =>
      /\bprocess\s*(\.|\?\.)\s*env\b|\bprocess\[["']env/.test(withoutComments(text)),
    );
    expect(readers.map(({ path }) => path)).toEqual(["src/config/environment.ts"]);
  });

  it("import each guarded library only in its own folder", () => {
    for (const [library, owner] of Object.entries(libraryOwners)) {
      const users = sources.filter(({ text }) =>
        importsOf(text).some(({ specifier }) => specifier === library),
      );
      expect(users.length, `${library} is used`).toBeGreaterThan(0);
      expect(
        users.every(({ path }) => path.startsWith(owner)),
        `${library} stays in ${owner}`,
      ).toBe(true);
    }
  });
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
}

describe("the import checker", () => {
  it.each([
    ["a file of core that imports another layer", "src/core/a.ts", "../chat/b.ts"],
    ["a protocol file that imports providers", "src/protocol/a.ts", "../providers/provider.ts"],
    ["a provider that imports the protocol", "src/providers/openai/a.ts", "../../protocol/codec.ts"],
    ["a provider that imports the engine", "src/providers/local/a.ts", "../../engine/model/load-model.ts"],
    [
      "a provider other than the local one that imports the engine wire",
      "src/providers/echo/a.ts",
      "../../engine-wire/requests.ts",
    ],
    ["a chat file that imports a specific provider", "src/chat/a.ts", "../providers/echo/b.ts"],
    ["a store that imports the chat service", "src/stores/memory/a.ts", "../../chat/chat-service.ts"],
    [
      "a transport that imports more of the protocol than close codes",
      "src/transport/uws/a.ts",
      "../../protocol/codec.ts",
    ],
    ["an engine file that imports its host", "src/engine/a.ts", "../engine-host/supervisor.ts"],
    ["an engine host that imports the model", "src/engine-host/a.ts", "../engine/model/load-model.ts"],
    ["a layer that imports the composition root", "src/session/a.ts", "../app/server.ts"],
    ["a page that imports the server", "web/a.ts", "../src/core/errors.ts"],
    ["a page that imports a package", "web/a.ts", "left-pad"],
    ["a client of the page that imports the view", "web/client/a.ts", "../view/b.ts"],
    ["a socket library outside the transport", "src/session/a.ts", "uWebSockets.js"],
    ["the model library outside the engine", "src/engine-host/a.ts", "node-llama-cpp"],
    ["the model library outside its folder of the engine", "src/engine/loop/a.ts", "node-llama-cpp"],
    ["a scheduling file that imports the loop", "src/engine/scheduling/a.ts", "../loop/b.ts"],
    ["delivery that imports the session", "src/session/delivery/a.ts", "../session-host.ts"],
    ["limits that import delivery", "src/session/limits/a.ts", "../delivery/b.ts"],
    ["a subpath of a guarded library", "src/chat/a.ts", "openai/streaming"],
    ["a folder without an import rule", "src/helpers/a.ts", "node:fs"],
  ])("catches %s", (_, path, specifier) => {
    expect(importFaults([file(path, specifier)])).toHaveLength(1);
  });

  it.each([
    ["Node.js modules in every folder", "src/core/a.ts", "node:crypto"],
    ["files of the same folder", "src/core/a.ts", "./b.ts"],
    ["core in a store", "src/stores/memory/a.ts", "../../core/errors.ts"],
    ["a port of chat in a store", "src/stores/memory/a.ts", "../../chat/answer-log.ts"],
    ["the engine wire in the local provider", "src/providers/local/a.ts", "../../engine-wire/requests.ts"],
    ["everything in the composition root", "src/app/server.ts", "../chat/chat-service.ts"],
  ])("allows %s", (_, path, specifier) => {
    expect(importFaults([file(path, specifier)])).toEqual([]);
  });

  it("allows the page to import types of the protocol but no values", () => {
    const from = `from "../src/protocol/server-frames.ts";`;
    expect(importFaults([{ path: "web/a.ts", text: `import type { Frame } ${from}` }])).toEqual([]);
    expect(importFaults([{ path: "web/a.ts", text: `import { frame } ${from}` }])).toHaveLength(1);
  });

  it("finds every form of import, and ignores comments", () => {
    const text = [
      'import a from "a";',
      'import type { B } from "b";',
      'import {\n  c,\n  d,\n} from "c";',
      'export * from "d";',
      'export { e } from "e";',
      'import "f";',
      'const g = await import("g");',
      '// import x from "no";',
      '/** import y from "no"; import("no") */',
      'const from = "no";',
      "call(importantly('no'));",
    ].join("\n");
    const found = importsOf(text);
    expect(found.map(({ specifier }) => specifier).toSorted()).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
    expect(found.filter(({ typeOnly }) => typeOnly)).toEqual([{ specifier: "b", typeOnly: true }]);
  });

  it("finds a cycle over three files", () => {
    const files = [file("src/a.ts", "./b.ts"), file("src/b.ts", "./c.ts"), file("src/c.ts", "./a.ts")];
    expect(importCycles(files)).toEqual(["src/a.ts → src/b.ts → src/c.ts → src/a.ts"]);
    expect(importCycles(files.slice(0, 2))).toEqual([]);
  });

  it("finds a file of 301 lines", () => {
    const long = (lines: number) => ({ path: "src/a.ts", text: "x\n".repeat(lines) });
    expect(longFiles([long(301)], 300)).toHaveLength(1);
    expect(longFiles([long(300)], 300)).toEqual([]);
  });
});
