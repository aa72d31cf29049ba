import type { Hash } from "node:crypto";
import { open, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { HubSource, ModelEntry } from "./model-catalog.ts";
import {
  acceptPart,
  hashStart,
  isCode,
  messageOf,
  ModelFetchError,
  requireDiskSpace,
  sizeOf,
  asDiskFull,
} from "./model-file.ts";
import type { ProgressReporter } from "./model-progress.ts";

/** Base URL of the Hugging Face hub. */
export const HUB_URL = "https://huggingface.co";

export interface DownloadOptions {
  /** Existing folder for the file. */
  readonly modelsDir: string;
  readonly progress: ProgressReporter;
  /** Aborts the download. */
  readonly signal: AbortSignal;
  readonly fetch?: typeof globalThis.fetch;
  /** Base URL of the hub without a trailing slash. Default: {@link HUB_URL}. */
  readonly hubUrl?: string;
  /** Time limit for the response's headers, redirects included, in milliseconds. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** Time limit between two chunks of the body, in milliseconds. Default 30,000. */
  readonly stallTimeoutMs?: number;
}

/** Number of times that a lost connection is resumed. */
const MAX_RESUMES = 5;

/** A connection was lost in the middle of the body, so the download can resume. */
class LostConnectionError extends ModelFetchError {}

/**
 * Downloads a model from the hub into `modelsDir`. The data is written to a `.part` file, which gets its final name
 * after size and hash are checked. An existing `.part` file is resumed. After a failure it stays for the next attempt,
 * unless its content is wrong. Two processes may download the same file at once: both write the same bytes to the same
 * offsets.
 *
 * @returns the path of the model.
 * @throws ModelFetchError, or the signal's reason.
 */
export async function downloadFromHub(
  entry: ModelEntry & { readonly source: HubSource },
  options: DownloadOptions,
): Promise<string> {
  const target = join(options.modelsDir, entry.file);
  const part = `${target}.part`;
  try {
    for (let resumes = 0; ; resumes++) {
      try {
        const sha256 = await fetchPart(entry, part, options);
        await acceptPart(entry, part, target, sha256);
        return target;
      } catch (error) {
        options.signal.throwIfAborted();
        if (!(error instanceof LostConnectionError) || resumes === MAX_RESUMES) throw error;
        options.progress.print(`${entry.file}: ${error.message}; resuming`);
      }
    }
  } catch (error) {
    options.signal.throwIfAborted();
    throw error instanceof ModelFetchError ? error : new ModelFetchError(messageOf(error), { cause: error });
  } finally {
    options.progress.end();
  }
}

/** Completes the `.part` file. @returns the SHA-256 of the whole file, hex. */
async function fetchPart(
  entry: ModelEntry & { readonly source: HubSource },
  part: string,
  options: DownloadOptions,
): Promise<string> {
  let existing = (await sizeOf(part)) ?? 0;
  if (existing > entry.size) {
    await rm(part, { force: true });
    existing = 0;
  }
  if (existing === entry.size) return (await hashStart(part, existing, options.signal)).digest("hex");
  await requireDiskSpace(part, entry.size - existing);
  const watch = new StallWatch(options.signal);
  try {
    watch.expectWithin(options.connectTimeoutMs ?? 5000, "no response");
    const response = await request(entry, existing, watch.signal, options);
    const from = startOf(response, existing, entry);
    const hash = await hashStart(part, from, options.signal);
    return await store(response, { entry, part, from, hash, watch, options });
  } catch (error) {
    throw watch.explain(error);
  } finally {
    watch.stop();
  }
}

async function request(
  entry: ModelEntry & { readonly source: HubSource },
  existing: number,
  signal: AbortSignal,
  { fetch = globalThis.fetch, hubUrl = HUB_URL }: DownloadOptions,
): Promise<Response> {
  const { repository, revision } = entry.source;
  const url = `${hubUrl}/${repository}/resolve/${revision}/${encodeURIComponent(entry.file)}`;
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (existing > 0) headers["range"] = `bytes=${existing}-`;
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    throw new ModelFetchError(`the hub (${new URL(hubUrl).host}) cannot be reached: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/**
 * Offset of the first byte of the response's body.
 *
 * @throws ModelFetchError when the response is not the wanted file.
 */
function startOf(response: Response, existing: number, entry: ModelEntry): number {
  const total = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  const length = response.headers.get("content-length");
  const from = response.status === 206 ? Number(total?.[1] ?? Number.NaN) : 0;
  const size = response.status === 206 ? Number(total?.[2]) : length === null ? entry.size : Number(length);
  const fault =
    response.status !== 200 && response.status !== 206
      ? `the hub returned status ${response.status} for ${entry.file}`
      : size !== entry.size
        ? `the hub has a different file of that name: ${size} bytes instead of ${entry.size}`
        : from !== 0 && from !== existing
          ? "the hub returned a different range than the one requested"
          : null;
  if (fault === null) return from;
  void response.body?.cancel().catch(() => undefined);
  throw new ModelFetchError(fault);
}

interface StoreOptions {
  readonly entry: ModelEntry;
  readonly part: string;
  /** Offset of the first byte of the body. */
  readonly from: number;
  /** Hash of the bytes before `from`. */
  readonly hash: Hash;
  readonly watch: StallWatch;
  readonly options: DownloadOptions;
}

/** Writes the body at `from`. @returns the SHA-256 of the whole file, hex. */
async function store(response: Response, storing: StoreOptions): Promise<string> {
  const { entry, part, hash, watch, options } = storing;
  const stallMs = options.stallTimeoutMs ?? 30_000;
  let at = storing.from;
  const file = await openPart(part);
  try {
    options.progress.update(entry.file, at, entry.size);
    watch.expectWithin(stallMs, "no more data");
    for await (const chunk of chunksOf(response)) {
      watch.expectWithin(stallMs, "no more data");
      if (at + chunk.length > entry.size)
        throw new ModelFetchError(`the hub sent more than ${entry.size} bytes`);
      await writeAll(file, chunk, at, part);
      hash.update(chunk);
      at += chunk.length;
      options.progress.update(entry.file, at, entry.size);
    }
    if (at < entry.size)
      throw new LostConnectionError(`the connection closed after ${at} of ${entry.size} bytes`);
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/** Opens the file for writing at any offset, without truncating it. */
async function openPart(part: string): Promise<FileHandle> {
  try {
    return await open(part, "r+");
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error;
    return open(part, "w");
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, at: number, part: string): Promise<void> {
  try {
    for (let written = 0; written < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, written, chunk.length - written, at + written);
      written += bytesWritten;
    }
  } catch (error) {
    throw asDiskFull(error, part);
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const chunks = response.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      let next;
      try {
        next = await chunks.next();
      } catch (error) {
        throw new LostConnectionError(`the connection was lost (${reasonOf(error)})`, { cause: error });
      }
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.().catch(() => undefined);
  }
}

/** The innermost reason of a failed fetch, which undici reports as the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : reasonOf(cause);
}

/** Aborts its signal when expected data does not arrive in time, or when the outer signal aborts. */
class StallWatch {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#own.signal]);
  }

  /** Restarts the timer. `failure`: what is missing when it expires, for the error message. */
  expectWithin(ms: number, failure: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#own.abort(new ModelFetchError(`${failure} from the hub within ${ms / 1000} s`));
    }, ms);
  }

  /** Returns the time-out if it caused `error`, else `error` itself. */
  explain(error: unknown): unknown {
    return this.#own.signal.aborted ? this.#own.signal.reason : error;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
