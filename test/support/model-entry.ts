import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { smallGguf } from "./small-gguf.ts";
import type { HubSource, ModelEntry, WheelSource } from "../../src/engine-host/model-catalog.ts";

/** A whole chat model with one small tensor. */
const header = smallGguf();
/** Bytes of the smallest model of {@link modelBytes}. */
export const MIN_MODEL_BYTES = header.length;

/**
 * A GGUF model with a good header, filled up with pseudo-random bytes. Different seeds give different bytes.
 *
 * @param length at least {@link MIN_MODEL_BYTES}
 */
export function modelBytes(length = MIN_MODEL_BYTES, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = seed; at < length; at++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    bytes[at] = state >> 16;
  }
  header.copy(bytes);
  return bytes;
}

function entryOf<T extends HubSource | WheelSource>(
  name: string,
  content: Buffer,
  source: T,
): ModelEntry & { readonly source: T } {
  return {
    name,
    title: `Model ${name}`,
    file: `${name}.gguf`,
    size: content.length,
    sha256: createHash("sha256").update(content).digest("hex"),
    licence: "MIT",
    standIn: source.kind === "wheel",
    template: "chatml",
    roleMarkers: ["<|im_start|>"],
    sampling: { temperature: 0.5, topP: 1, topK: 40, minP: 0, repeatPenalty: 1 },
    source,
  };
}

/** A catalog entry for `content` in a hub repository. */
export function hubEntry(name: string, content: Buffer) {
  return entryOf<HubSource>(name, content, { kind: "hub", repository: "someone/models", revision: "abc123" });
}

/** A catalog entry for `content` inside a Python wheel, marked as the stand-in. */
export function wheelEntry(name: string, content: Buffer) {
  const member = `carrier/${name}.gguf`;
  return entryOf<WheelSource>(name, content, { kind: "wheel", package: "carrier", version: "1.0", member });
}

/** Creates a folder that is deleted when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "models-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Starts an HTTP server on a free loopback port, closed when the test ends.
 *
 * @returns its URL without a trailing slash
 */
export async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server: Server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
