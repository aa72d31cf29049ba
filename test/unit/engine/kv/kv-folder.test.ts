import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openKvFolder, type KvFolder } from "../../../../src/engine/kv/kv-folder.ts";

const parent = mkdtempSync(join(tmpdir(), "kv-folder-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

describe("openKvFolder", () => {
  it("creates a private folder in the first parent that is writable, and removes it", () => {
    const folder = openKvFolder([join(parent, "nowhere"), parent]) as KvFolder;
    expect(statSync(folder.path).mode & 0o777).toBe(0o700);
    expect(folder.freeBytes()).toBeGreaterThan(0);
    writeFileSync(join(folder.path, "1"), "state");
    folder.remove();
    expect(existsSync(folder.path)).toBe(false);
  });

  it("returns undefined when no parent is writable", () => {
    expect(openKvFolder([join(parent, "nowhere")])).toBeUndefined();
  });
});
