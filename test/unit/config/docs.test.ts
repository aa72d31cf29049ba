import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderConfigurationPage, renderEnvExample } from "../../../src/config/docs.ts";
import { parseEnvFile } from "../../../src/config/env-file.ts";
import { settings } from "../../../src/config/schema.ts";

const root = join(import.meta.dirname, "../../..");

function tableRows(): string[][] {
  return renderConfigurationPage()
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1));
}

describe("generated docs", () => {
  it("are up to date (otherwise run npm run docs)", () => {
    expect(readFileSync(join(root, ".env.example"), "utf8")).toBe(renderEnvExample());
    expect(readFileSync(join(root, "docs/configuration.md"), "utf8")).toBe(renderConfigurationPage());
  });

  it("have one row of four cells for each setting", () => {
    const rows = tableRows();
    expect(rows.map((cells) => cells[0]?.trim())).toEqual(Object.keys(settings).map((name) => `\`${name}\``));
    for (const cells of rows) expect(cells).toHaveLength(4);
  });

  it("show no default for a secret", () => {
    for (const [name, setting] of Object.entries(settings).filter(([, each]) => each.secret)) {
      expect(setting.shownDefault, name).toBe("");
    }
  });
});

describe(".env.example", () => {
  it("has no effect when copied unchanged", () => {
    expect(parseEnvFile(renderEnvExample())).toEqual({ values: new Map(), faults: [] });
  });

  it("contains the defaults: uncommenting a line changes no value", () => {
    const opened = renderEnvExample().replaceAll(/^#(?=[A-Z])/gm, "");
    const { values, faults } = parseEnvFile(opened);
    expect(faults).toEqual([]);
    expect([...values.keys()]).toEqual(Object.keys(settings));
    let literal = 0;
    for (const [name, setting] of Object.entries(settings)) {
      const given = values.get(name) ?? "";
      if (given === "") continue; // The default is absent, empty or computed at start.
      literal++;
      expect(setting.parse(given), name).toEqual(setting.fallback);
    }
    expect(literal).toBeGreaterThan(30);
  });
});

describe("npm run docs -- --check", () => {
  it("passes on current files, and fails on stale files with a hint", () => {
    const folder = mkdtempSync(join(tmpdir(), "docs-"));
    try {
      for (const part of [
        "package.json",
        "src/config",
        "src/core",
        "scripts/docs.ts",
        ".env.example",
        "docs/configuration.md",
      ]) {
        cpSync(join(root, part), join(folder, part), { recursive: true });
      }
      symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
      const check = () =>
        execFileSync(process.execPath, ["--import", "tsx", "scripts/docs.ts", "--check"], {
          cwd: folder,
          stdio: ["ignore", "pipe", "pipe"],
          encoding: "utf8",
        });
      expect(check()).toBe("");
      writeFileSync(join(folder, ".env.example"), "stale");
      expect(check).toThrow(/\.env\.example is not up to date: run `npm run docs`/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
