import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { downloadFromHub, type DownloadOptions } from "../../../src/engine-host/model-download.ts";
import { until } from "../../support/service.ts";
import { silentProgress } from "../../support/silent-progress.ts";
import { hubEntry, modelBytes, serve, temporaryFolder } from "../../support/model-entry.ts";

const content = modelBytes(300_000);
const entry = hubEntry("small", content);

async function setUp(hubUrl: string, more: Partial<DownloadOptions> = {}) {
  const modelsDir = await temporaryFolder();
  const options: DownloadOptions = {
    modelsDir,
    hubUrl,
    progress: silentProgress,
    signal: new AbortController().signal,
    connectTimeoutMs: 20_000,
    stallTimeoutMs: 20_000,
    ...more,
  };
  const target = join(modelsDir, entry.file);
  return { options, target, part: `${target}.part` };
}

function startOfRange(header: string | undefined): number {
  return Number(/^bytes=(\d+)-$/.exec(header ?? "bytes=0-")?.[1]);
}

/**
 * A hub that supports ranges. It sends only `cutAfter` bytes of a request's body, and closes the connection when
 * `stored` is resolved.
 */
function rangeHub(
  log: number[],
  cutAfter: (request: number) => number = () => Infinity,
  stored: (bytes: number) => Promise<unknown> = () => Promise.resolve(),
) {
  return serve((request, response) => {
    const from = startOfRange(request.headers.range);
    log.push(from);
    const ranged = request.headers.range !== undefined;
    response.writeHead(ranged ? 206 : 200, {
      "content-length": content.length - from,
      ...(ranged && { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    const limit = cutAfter(log.length);
    if (limit === Infinity) response.end(content.subarray(from));
    else {
      response.write(content.subarray(from, from + limit));
      void stored(from + limit).then(() => response.destroy());
    }
  });
}

describe("downloadFromHub", () => {
  it("requests the pinned revision and renames the file when it is complete", async () => {
    const urls: (string | undefined)[] = [];
    const hub = await serve((request, response) => {
      urls.push(request.url);
      response.end(content);
    });
    const { options, target, part } = await setUp(hub);
    expect(await downloadFromHub(entry, options)).toBe(target);
    expect(urls).toEqual(["/someone/models/resolve/abc123/small.gguf"]);
    expect((await readFile(target)).equals(content)).toBe(true);
    expect(existsSync(part)).toBe(false);
  });

  it("resumes where an earlier run stopped", async () => {
    const log: number[] = [];
    const { options, target, part } = await setUp(await rangeHub(log));
    await writeFile(part, content.subarray(0, 123_456));
    await downloadFromHub(entry, options);
    expect(log).toEqual([123_456]);
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  it("resumes after a lost connection", async () => {
    const log: number[] = [];
    let done = 0;
    const hub = await rangeHub(
      log,
      (request) => (request < 3 ? 100_000 : Infinity),
      (bytes) => until(() => done === bytes),
    );
    const progress = { ...silentProgress, update: (_: string, bytes: number) => (done = bytes) };
    const { options, target } = await setUp(hub, { progress });
    await downloadFromHub(entry, options);
    expect(log).toEqual([0, 100_000, 200_000]);
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  it("restarts from the beginning when the hub does not support ranges", async () => {
    const hub = await serve((_, response) => response.end(content));
    const { options, target, part } = await setUp(hub);
    await writeFile(part, Buffer.alloc(1000, 7));
    await downloadFromHub(entry, options);
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  it("renames a complete .part file without a request", async () => {
    const { options, target, part } = await setUp("http://127.0.0.1:9");
    await writeFile(part, content);
    await downloadFromHub(entry, options);
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  it("deletes a file with a wrong hash and reports that", async () => {
    const hub = await serve((_, response) => response.end(modelBytes(content.length, 2)));
    const { options, target, part } = await setUp(hub);
    await expect(downloadFromHub(entry, options)).rejects.toThrow(/wrong hash.*it was deleted/);
    expect([existsSync(target), existsSync(part)]).toEqual([false, false]);
  });

  it("refuses a file of a different length before storing a byte", async () => {
    const hub = await serve((_, response) => response.end(content.subarray(1)));
    const { options, part } = await setUp(hub);
    await expect(downloadFromHub(entry, options)).rejects.toThrow("a different file of that name");
    expect(existsSync(part)).toBe(false);
  });

  it("stops when the hub sends more bytes than the file has", async () => {
    const hub = await serve((_, response) => {
      response.write(content);
      response.end(content);
    });
    const { options } = await setUp(hub);
    await expect(downloadFromHub(entry, options)).rejects.toThrow("more than 300000 bytes");
  });

  it.each([404, 500])("reports status %i of the hub", async (status) => {
    const hub = await serve((_, response) => response.writeHead(status).end("no"));
    const { options } = await setUp(hub);
    await expect(downloadFromHub(entry, options)).rejects.toThrow(`the hub returned status ${status}`);
  });

  it("fails after the connect time-out when the hub does not respond", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    const address = silent.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { options } = await setUp(`http://127.0.0.1:${port}`, { connectTimeoutMs: 300 });
    await expect(downloadFromHub(entry, options)).rejects.toThrow("no response from the hub within 0.3 s");
  });

  it("fails when the body stalls and keeps the bytes received so far", async () => {
    const hub = await serve((_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100_000));
    });
    const { options, part } = await setUp(hub, { stallTimeoutMs: 1500 });
    await expect(downloadFromHub(entry, options)).rejects.toThrow("no more data from the hub within 1.5 s");
    expect((await stat(part)).size).toBe(100_000);
  });

  it("fails at once when the host is unknown", async () => {
    const unknown = () =>
      Promise.reject(
        new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND hub.invalid") }),
      );
    const { options } = await setUp("https://hub.invalid", { fetch: unknown });
    const begin = performance.now();
    await expect(downloadFromHub(entry, options)).rejects.toThrow(
      "the hub (hub.invalid) cannot be reached: getaddrinfo ENOTFOUND hub.invalid",
    );
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  it("rejects with the signal's reason when aborted, and can be resumed later", async () => {
    const stop = new AbortController();
    const log: number[] = [];
    const hub = await serve((request, response) => {
      const from = startOfRange(request.headers.range);
      log.push(from);
      if (from > 0) {
        const range = `bytes ${from}-${content.length - 1}/${content.length}`;
        response.writeHead(206, { "content-range": range }).end(content.subarray(from));
        return;
      }
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 100_000));
    });
    const progress = {
      ...silentProgress,
      update: (_: string, done: number) => {
        if (done === 100_000) stop.abort(new Error("interrupted"));
      },
    };
    const { options, target } = await setUp(hub, { signal: stop.signal, progress });
    await expect(downloadFromHub(entry, options)).rejects.toThrow("interrupted");
    await downloadFromHub(entry, { ...options, signal: new AbortController().signal });
    expect(log).toEqual([0, 100_000]);
    expect((await readFile(target)).equals(content)).toBe(true);
  });

  it("reports missing disk space before the download", async () => {
    const { options } = await setUp("http://127.0.0.1:9");
    const huge = { ...entry, size: 1e18 };
    await expect(downloadFromHub(huge, options)).rejects.toThrow(/not enough disk space in .*: .* needed/);
  });

  it("produces one complete file when two processes download it at once", async () => {
    const { options, target } = await setUp(await rangeHub([]));
    await Promise.all([downloadFromHub(entry, options), downloadFromHub(entry, options)]);
    expect((await readFile(target)).equals(content)).toBe(true);
  });
});
