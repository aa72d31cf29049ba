import type { Dirent } from "node:fs";
import { opendir, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf, printable } from "./model-file.ts";

/** Depth of subfolders: the cache of the Hugging Face tools has files in the third. */
const MAX_DEPTH = 4;
/** Entries of folders that are looked at, so that a link to a whole disk does not delay the start. */
const MAX_ENTRIES = 10_000;
/** Headers of larger collections are not read: each takes some milliseconds. */
const MAX_FILES = 64;

export interface FoundFiles {
  /**
   * Paths relative to the folder, with `/`: files with the preferred name, then the folder's own files by name, then
   * those of its subfolders by path.
   */
  readonly files: readonly string[];
  /** What was not searched, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Finds the `.gguf` files of a folder and its subfolders; capitals in the ending do not matter. Links are followed.
 * Hidden folders are left out. Depth and counts are bounded.
 *
 * @param preferred name of a file that the bound on files never leaves out
 * @throws a system error if the folder itself cannot be read
 */
export async function findModelFiles(folder: string, preferred?: string): Promise<FoundFiles> {
  const search = new Search(folder);
  await search.visit("", 0);
  return search.result(preferred);
}

class Search {
  readonly #folder: string;
  readonly #files: string[] = [];
  readonly #notes: string[] = [];
  /** Real paths, because links can lead in circles. */
  readonly #visited = new Set<string>();
  #entries = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async visit(inside: string, depth: number): Promise<void> {
    const path = join(this.#folder, inside);
    const real = await realpath(path);
    if (this.#visited.has(real)) return;
    this.#visited.add(real);
    const subfolders: string[] = [];
    for await (const entry of await opendir(path)) {
      if (++this.#entries > MAX_ENTRIES) return;
      const name = inside === "" ? entry.name : `${inside}/${entry.name}`;
      if (await this.#isFolder(name, entry)) {
        if (depth < MAX_DEPTH && !entry.name.startsWith(".")) subfolders.push(name);
      } else if (/\.gguf$/i.test(entry.name)) this.#files.push(name);
    }
    for (const name of subfolders.toSorted()) {
      await this.visit(name, depth + 1).catch((error: unknown) => {
        this.#notes.push(printable(`models/${name} cannot be searched (${messageOf(error)}).`));
      });
    }
  }

  result(preferred: string | undefined): FoundFiles {
    const rankOf = (name: string): number => {
      if (basename(name) === preferred) return 0;
      return name.includes("/") ? 2 : 1;
    };
    const files = this.#files
      .toSorted()
      .toSorted((left, right) => rankOf(left) - rankOf(right))
      .slice(0, MAX_FILES);
    const notes = [...this.#notes];
    if (this.#entries > MAX_ENTRIES) notes.push(`Only ${MAX_ENTRIES} entries of models/ were searched.`);
    if (files.length < this.#files.length) {
      notes.push(
        `Only the first ${MAX_FILES} of ${this.#files.length} .gguf files in models/ were looked at.`,
      );
    }
    return { files, notes };
  }

  /** Whether an entry is a folder, or a link to one. */
  async #isFolder(name: string, entry: Dirent): Promise<boolean> {
    if (!entry.isSymbolicLink()) return entry.isDirectory();
    try {
      return (await stat(join(this.#folder, name))).isDirectory();
    } catch {
      // A broken link with the name of a model is reported as a file that does not exist.
      return false;
    }
  }
}
