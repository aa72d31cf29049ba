import { randomUUID } from "node:crypto";
import { access, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const cache = fileURLToPath(new URL("../../node_modules/.cache/", import.meta.url));

/**
 * Path of a file under node_modules/.cache, written on first use. An existing file is used unchanged, so `folder` and
 * `name` must determine the content of `parts`.
 */
export async function cachedFile(folder: string, name: string, parts: Iterable<Buffer>): Promise<string> {
  const path = join(cache, folder, name);
  try {
    await access(path);
    return path;
  } catch {
    await mkdir(join(cache, folder), { recursive: true });
  }
  // Several processes may write at once. The rename ensures that the file is complete when it appears.
  const draft = `${path}.${randomUUID()}`;
  try {
    const file = await open(draft, "wx");
    try {
      for (const part of parts) await file.writeFile(part);
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return path;
}
