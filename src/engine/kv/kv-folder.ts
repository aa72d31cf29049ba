import { mkdtempSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "chat-engine-kv-";
const MEMORY_FILE_SYSTEM = "/dev/shm";

/**
 * Folder for the stored states of one engine. It is on a memory file system if there is one, and only this user can
 * read it.
 */
export interface KvFolder {
  readonly path: string;
  /** Bytes that can still be written. */
  freeBytes(): number;
  /** Removes the folder and its contents. */
  remove(): void;
}

/**
 * Creates the folder and removes the folders that killed engines left behind.
 *
 * @param pid process id of this engine
 * @param parents folders to try, in this order
 * @returns undefined when none of the parents is writable.
 */
export function openKvFolder(
  pid: number,
  parents: readonly string[] = [MEMORY_FILE_SYSTEM, tmpdir()],
): KvFolder | undefined {
  for (const parent of parents) {
    try {
      return createFolder(pid, parent);
    } catch {
      // This parent is missing or not writable; try the next one.
    }
  }
  return undefined;
}

function createFolder(pid: number, parent: string): KvFolder {
  removeStale(parent);
  // mkdtemp creates the folder with mode 0700.
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
      // Another engine removed it first.
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
