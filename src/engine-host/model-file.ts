import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { ModelEntry } from "./model-catalog.ts";
import { formatBytes } from "./model-progress.ts";

/** A fetch of a model that failed; its message says why, for people. */
export class ModelFetchError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ModelFetchError";
  }
}

/** Bytes of a file, or undefined where there is none. */
export async function sizeOf(file: string): Promise<number | undefined> {
  try {
    const found = await stat(file);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** What is wrong with a file as a model, or null. Looks at the first bytes only. */
export async function ggufFault(file: string): Promise<string | null> {
  let handle;
  try {
    handle = await open(file, "r");
  } catch (error) {
    return isCode(error, "ENOENT", "ENOTDIR") ? "does not exist" : `cannot be read (${messageOf(error)})`;
  }
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString("latin1") === "GGUF" ? null : "is not a GGUF file";
  } catch (error) {
    return `cannot be read (${messageOf(error)})`;
  } finally {
    await handle.close();
  }
}

/** Feeds the first `bytes` of a file into a new SHA-256. */
export async function hashStart(file: string, bytes: number, signal: AbortSignal) {
  const hash = createHash("sha256");
  if (bytes === 0) return hash;
  for await (const chunk of createReadStream(file, { end: bytes - 1, signal })) hash.update(chunk as Buffer);
  return hash;
}

/**
 * Gives a finished `.part` file its name when its hash is right; else deletes it and throws.
 * @param sha256 of the whole file, hex
 */
export async function acceptPart(
  entry: ModelEntry,
  part: string,
  target: string,
  sha256: string,
): Promise<void> {
  if (sha256 !== entry.sha256) {
    await rm(part, { force: true });
    throw new ModelFetchError(
      `${entry.file} arrived with a wrong hash (sha256 ${sha256.slice(0, 12)}…, expected ${entry.sha256.slice(0, 12)}…); it was deleted`,
    );
  }
  try {
    await rename(part, target);
  } catch (error) {
    // Another process fetched the same file and was done first.
    if (isCode(error, "ENOENT") && (await sizeOf(target)) === entry.size) return;
    throw error;
  }
}

/** Throws when the disk of `file` has no room for `bytes` more. */
export async function requireRoom(file: string, bytes: number): Promise<void> {
  const disk = await statfs(dirname(file));
  const free = disk.bavail * disk.bsize;
  if (free < bytes)
    throw diskFull(file, `${formatBytes(bytes)} more are needed, ${formatBytes(free)} are free`);
}

/** A full disk as people read it; any other error as it is. */
export function withoutRoom(error: unknown, file: string): unknown {
  return isCode(error, "ENOSPC", "EDQUOT") ? diskFull(file, "no space left", error) : error;
}

function diskFull(file: string, detail: string, cause?: unknown): ModelFetchError {
  return new ModelFetchError(`the disk of ${dirname(file)} is full: ${detail}`, { cause });
}

export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
