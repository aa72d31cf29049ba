import { mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "chat-engine-kv-";
const MEMORY = "/dev/shm";

/** The folder of stored states of one engine: on a memory file system where there is one, readable by this user alone. */
export interface KvFolder {
  readonly path: string;
  /** Bytes that can still be written. */
  freeBytes(): number;
  /** Removes it with all that is in it. */
  remove(): void;
}

/**
 * Creates the folder and removes those of engines that were killed. `pid`: of this engine.
 *
 * @returns undefined where none of the parents can be written to.
 */
export function openKvFolder(
  pid: number,
  parents: readonly string[] = [MEMORY, tmpdir()],
): KvFolder | undefined {
  for (const parent of parents) {
    try {
      return createFolder(pid, parent);
    } catch {
      // Not there or not ours; the next may do.
    }
  }
  return undefined;
}

function createFolder(pid: number, parent: string): KvFolder {
  removeStale(parent);
  // Of mode 0700.
  const path = mkdtempSync(join(parent, `${PREFIX}${pid}-`));
  return {
    path,
    freeBytes() {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

function removeStale(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number.parseInt(name.slice(PREFIX.length), 10);
    const path = join(parent, name);
    try {
      if (statSync(path).uid === process.getuid?.() && !isAlive(pid))
        rmSync(path, { recursive: true, force: true });
    } catch {
      // Another engine was quicker.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
