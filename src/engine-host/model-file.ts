import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { ModelEntry } from "./model-catalog.ts";
import { formatBytes } from "./model-progress.ts";

/** A model could not be fetched. The message gives the reason, for people. */
export class ModelFetchError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ModelFetchError";
  }
}

/** Size of a file in bytes, or undefined when there is no such file. */
export async function sizeOf(file: string): Promise<number | undefined> {
  try {
    const stats = await stat(file);
    return stats.isFile() ? stats.size : undefined;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
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
 * Renames a finished `.part` file to `target` when its hash is right.
 *
 * @param sha256 hash of the whole file, hex
 * @throws ModelFetchError when the hash is wrong; the file is then deleted.
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
      `${entry.file} has a wrong hash after the download (sha256 ${sha256.slice(0, 12)}…, expected ${entry.sha256.slice(0, 12)}…); it was deleted`,
    );
  }
  try {
    await rename(part, target);
  } catch (error) {
    // Another process fetched the same file and renamed it first.
    if (isCode(error, "ENOENT") && (await sizeOf(target)) === entry.size) return;
    throw error;
  }
}

/** @throws ModelFetchError when the disk of `file` has less than `bytes` of free space. */
export async function requireDiskSpace(file: string, bytes: number): Promise<void> {
  const disk = await statfs(dirname(file));
  const free = disk.bavail * disk.bsize;
  if (free < bytes) throw diskFull(file, `${formatBytes(bytes)} needed, ${formatBytes(free)} free`);
}

/** Turns an error for a full disk into a {@link ModelFetchError}. Returns any other error unchanged. */
export function asDiskFull(error: unknown, file: string): unknown {
  return isCode(error, "ENOSPC", "EDQUOT") ? diskFull(file, "no space left", error) : error;
}

function diskFull(file: string, detail: string, cause?: unknown): ModelFetchError {
  return new ModelFetchError(`there is not enough disk space in ${dirname(file)}: ${detail}`, { cause });
}

/** Whether an error has one of these system error codes. */
export function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** A name or a text from outside for a terminal: without control characters. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
