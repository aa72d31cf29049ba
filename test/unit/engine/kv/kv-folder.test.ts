import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openKvFolder, type KvFolder } from "../../../../src/engine/kv/kv-folder.ts";

const parent = mkdtempSync(join(tmpdir(), "kv-folder-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

describe("openKvFolder", () => {
  it("creates a private folder and removes only folders of exited engines", () => {
    const exited = join(parent, "chat-engine-kv-99999999-x");
    const alive = join(parent, `chat-engine-kv-${process.ppid}-x`);
    const foreign = join(parent, "something-else");
    for (const folder of [exited, alive, foreign]) mkdirSync(folder);
    writeFileSync(join(exited, "1"), "state");
    const folder = openKvFolder(process.pid, [join(parent, "nowhere"), parent]) as KvFolder;
    expect(statSync(folder.path).mode & 0o777).toBe(0o700);
    expect([exited, alive, foreign].map((path) => existsSync(path))).toEqual([false, true, true]);
    expect(folder.freeBytes()).toBeGreaterThan(0);
    writeFileSync(join(folder.path, "1"), "state");
    folder.remove();
    expect(existsSync(folder.path)).toBe(false);
  });

  it("returns undefined when no parent is writable", () => {
    expect(openKvFolder(process.pid, [join(parent, "nowhere")])).toBeUndefined();
  });
});
