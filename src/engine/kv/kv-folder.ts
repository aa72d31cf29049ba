import { rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { createOwnedFolder, MEMORY_FILE_SYSTEM } from "../../engine-wire/owned-folders.ts";

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
 * Creates the folder of this process.
 *
 * @param parents folders to try, in this order
 * @returns undefined when none of the parents is writable.
 */
export function openKvFolder(
  parents: readonly string[] = [MEMORY_FILE_SYSTEM, tmpdir()],
): KvFolder | undefined {
  for (const parent of parents) {
    try {
      return createFolder(parent);
    } catch {
      // This parent is missing or not writable; try the next one.
    }
  }
  return undefined;
}

function createFolder(parent: string): KvFolder {
  const path = createOwnedFolder("kv", parent);
  return {
    path,
    freeBytes() {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}
