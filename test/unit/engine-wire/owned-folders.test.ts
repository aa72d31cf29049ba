import { spawn } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  createOwnedFolder,
  ownedFolderPrefix,
  removeLeftovers,
} from "../../../src/engine-wire/owned-folders.ts";

const root = mkdtempSync(join(tmpdir(), "owned-folders-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** No process has this id. */
const NO_PID = 99_999_999;

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(root, "parent-"));
});

function folder(name: string): string {
  const path = join(parent, name);
  mkdirSync(path);
  writeFileSync(join(path, "1"), "state");
  return path;
}
/** Name of a folder of this process, with another id or start time. */
function nameWith(changes: { pid?: number; start?: string; namespace?: string }): string {
  const [pid, namespace, start] = ownedFolderPrefix("kv").split("-").slice(3);
  return `chat-engine-kv-${changes.pid ?? pid}-${changes.namespace ?? namespace}-${changes.start ?? start}-abc123`;
}

describe("createOwnedFolder", () => {
  it("creates a private folder that stays while its process runs", () => {
    const own = createOwnedFolder("socket", parent);
    expect(statSync(own).mode & 0o777).toBe(0o700);
    expect(removeLeftovers([parent])).toEqual([]);
    expect(existsSync(own)).toBe(true);
  });
});

describe("removeLeftovers", () => {
  it("removes folders of ended processes, with and without a start time in the name", () => {
    const ended = [
      folder(nameWith({ pid: NO_PID })),
      folder(`chat-engine-kv-${NO_PID}-x`),
      folder(`chat-engine-socket-${NO_PID}-abc123`),
    ];
    expect(removeLeftovers([parent, join(parent, "nowhere"), parent]).toSorted()).toEqual(ended.toSorted());
    expect(readdirSync(parent)).toEqual([]);
  });

  it("removes the folder of an ended process whose id another process has now", () => {
    const reused = folder(nameWith({ start: "1" }));
    expect(removeLeftovers([parent])).toEqual([reused]);
  });

  it("removes the folder of a process that has ended, but whose parent has not asked for its exit code", async () => {
    // The shell replaces itself with a program that never waits for its child.
    const shell = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const pid = Number(await new Promise((resolve) => shell.stdout.once("data", resolve)));
      const left = folder(`chat-engine-kv-${pid}-x`);
      await expect.poll(() => removeLeftovers([parent]), { timeout: 30_000 }).toEqual([left]);
    } finally {
      shell.kill("SIGKILL");
    }
  });

  it("keeps folders of running processes and of other pid namespaces", () => {
    const kept = [
      folder(nameWith({})),
      folder(`chat-engine-kv-${process.ppid}-x`),
      folder(nameWith({ pid: NO_PID, namespace: "1" })),
    ];
    expect(removeLeftovers([parent])).toEqual([]);
    expect(kept.every((path) => existsSync(path))).toBe(true);
  });

  it("keeps links, files, and folders with other names", () => {
    const outside = mkdtempSync(join(root, "outside-"));
    writeFileSync(join(outside, "kept"), "");
    symlinkSync(outside, join(parent, `chat-engine-kv-${NO_PID}-link`));
    symlinkSync(outside, join(parent, `chat-engine-kv-${NO_PID}-abc123`));
    writeFileSync(join(parent, `chat-engine-kv-${NO_PID}-file01`), "");
    for (const name of [
      "something-else",
      "chat-engine-kv-",
      "chat-engine-abc123",
      `chat-engine-kv-${NO_PID}-a.b`,
    ])
      folder(name);
    expect(removeLeftovers([parent])).toEqual([]);
    expect(existsSync(join(outside, "kept"))).toBe(true);
  });

  it("removes links inside a leftover without following them", () => {
    const outside = mkdtempSync(join(root, "outside-"));
    writeFileSync(join(outside, "kept"), "");
    const left = folder(nameWith({ pid: NO_PID }));
    symlinkSync(outside, join(left, "link"));
    expect(removeLeftovers([parent]).map((path) => basename(path))).toEqual([basename(left)]);
    expect(existsSync(join(outside, "kept"))).toBe(true);
  });

  it.skipIf(process.getuid?.() !== 0)("keeps folders of other users", () => {
    const foreign = folder(nameWith({ pid: NO_PID }));
    chownSync(foreign, 1, 1);
    expect(removeLeftovers([parent])).toEqual([]);
  });
});
