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
  requireRoom,
  sizeOf,
  withoutRoom,
} from "./model-file.ts";
import type { ProgressReporter } from "./model-progress.ts";

export const HUB_URL = "https://huggingface.co";

export interface DownloadOptions {
  readonly modelsDir: string;
  readonly progress: ProgressReporter;
  readonly signal: AbortSignal;
  readonly fetch?: typeof globalThis.fetch;
  /** Without a slash at the end. */
  readonly hubUrl?: string;
  /** Time for the answer's head to come, redirects included; in milliseconds. */
  readonly connectTimeoutMs?: number;
  /** Longest time without a byte; in milliseconds. */
  readonly stallTimeoutMs?: number;
}

/** How often a connection that was cut while bytes flowed is taken up again. */
const RESUMES = 5;

/** Failures after which going on where the bytes ended makes sense. */
class CutConnection extends ModelFetchError {}

/**
 * Fetches a model from the hub into `modelsDir` and gives its path. Goes on where an earlier try stopped (`.part`
 * file), checks size and hash, and names the file only then. Throws {@link ModelFetchError}, or the signal's reason;
 * either way the `.part` file stays for the next try, unless its content was wrong.
 *
 * Two processes may fetch the same file at once: both write the same bytes to the same places.
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
        if (!(error instanceof CutConnection) || resumes === RESUMES) throw error;
        options.progress.print(`${entry.file}: ${error.message}; going on`);
      }
    }
  } catch (error) {
    options.signal.throwIfAborted();
    throw error instanceof ModelFetchError ? error : new ModelFetchError(messageOf(error), { cause: error });
  } finally {
    options.progress.end();
  }
}

/** Completes the `.part` file and gives the hash of all of it. */
async function fetchPart(
  entry: ModelEntry & { readonly source: HubSource },
  part: string,
  options: DownloadOptions,
): Promise<string> {
  let have = (await sizeOf(part)) ?? 0;
  if (have > entry.size) {
    await rm(part, { force: true });
    have = 0;
  }
  if (have === entry.size) return (await hashStart(part, have, options.signal)).digest("hex");
  await requireRoom(part, entry.size - have);
  const watch = new StallWatch(options.signal);
  try {
    watch.expectWithin(options.connectTimeoutMs ?? 5000, "no answer");
    const response = await request(entry, have, watch.signal, options);
    const from = startOf(response, have, entry);
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
  have: number,
  signal: AbortSignal,
  { fetch = globalThis.fetch, hubUrl = HUB_URL }: DownloadOptions,
): Promise<Response> {
  const { repository, revision } = entry.source;
  const url = `${hubUrl}/${repository}/resolve/${revision}/${encodeURIComponent(entry.file)}`;
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (have > 0) headers["range"] = `bytes=${have}-`;
  try {
    return await fetch(url, { headers, signal });
  } catch (error) {
    throw new ModelFetchError(`the hub (${new URL(hubUrl).host}) cannot be reached: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** Offset at which the answer's bytes begin. Throws when the answer is not the file. */
function startOf(response: Response, have: number, entry: ModelEntry): number {
  const total = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  const length = response.headers.get("content-length");
  const from = response.status === 206 ? Number(total?.[1] ?? Number.NaN) : 0;
  const size = response.status === 206 ? Number(total?.[2]) : length === null ? entry.size : Number(length);
  const fault =
    response.status !== 200 && response.status !== 206
      ? `the hub answered ${response.status} for ${entry.file}`
      : size !== entry.size
        ? `the hub has another file under that name: ${size} bytes instead of ${entry.size}`
        : from !== 0 && from !== have
          ? `the hub answered another range than was asked for`
          : null;
  if (fault === null) return from;
  void response.body?.cancel().catch(() => undefined);
  throw new ModelFetchError(fault);
}

interface Storing {
  readonly entry: ModelEntry;
  readonly part: string;
  /** Offset of the first byte of the body. */
  readonly from: number;
  /** Has taken in what lies before `from`. */
  readonly hash: Hash;
  readonly watch: StallWatch;
  readonly options: DownloadOptions;
}

/** Writes the body behind `from` and gives the hash of the whole file. */
async function store(response: Response, storing: Storing): Promise<string> {
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
    if (at < entry.size) throw new CutConnection(`the connection ended after ${at} of ${entry.size} bytes`);
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/** Opens for writing at any place without cutting off what is there. */
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
    throw withoutRoom(error, part);
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
        throw new CutConnection(`the connection was cut (${reasonOf(error)})`, { cause: error });
      }
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.().catch(() => undefined);
  }
}

/** The innermost reason of a failed fetch: undici hides it as the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : reasonOf(cause);
}

/** Aborts its signal when what is expected does not come in time, or when the outer signal aborts. */
class StallWatch {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#own.signal]);
  }

  /** Starts the clock anew; `what` is the text of the failure. */
  expectWithin(ms: number, what: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#own.abort(new ModelFetchError(`${what} from the hub within ${ms / 1000} s`));
    }, ms);
  }

  /** The time-out, where it is what made `error` happen. */
  explain(error: unknown): unknown {
    return this.#own.signal.aborted ? this.#own.signal.reason : error;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
