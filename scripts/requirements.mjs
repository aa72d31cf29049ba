// What this machine must offer for the service to run, checked before anything else, so that a wrong Node version or
// C library ends in one line and not in a stack trace out of a native module.
import { createRequire } from "node:module";

/** The least Node version, as in package.json's `engines`. */
const NODE_MAJOR = 20;
const NODE_MINOR = 11;

/**
 * A line that says what is wrong with this version of Node, or null.
 * @param {string} version such as `20.11.0`
 * @returns {string | null}
 */
export function nodeFault(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR)) return null;
  return `Node ${version} is too old: version ${NODE_MAJOR}.${NODE_MINOR} or newer is needed.`;
}

/**
 * A line that says why uWebSockets.js cannot be loaded here, or null. Its package carries one binary for each
 * platform and Node version; those for Node 22 and later need glibc 2.38.
 * @param {(name: string) => unknown} load loads a package by name and throws where it cannot
 * @returns {string | null}
 */
export function socketLibraryFault(load = createRequire(import.meta.url)) {
  try {
    load("uWebSockets.js");
    return null;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const here = `Node ${process.versions.node} on ${process.platform}-${process.arch}`;
    if (/Cannot find (module|package) 'uWebSockets\.js'/.test(text)) {
      return "The packages are not installed: run npm ci first.";
    }
    const library = /GLIBC_[\d.]+/.exec(text)?.[0]?.replace("GLIBC_", "glibc ");
    if (library !== undefined) {
      return (
        `uWebSockets.js for ${here} needs ${library}, which this system lacks (it has ${glibcVersion()}). ` +
        "Use Node 20, or a system such as Debian 13 or Ubuntu 24.04."
      );
    }
    if (/libc\.musl|ld-musl|musl/.test(text)) {
      return "uWebSockets.js has no binary for musl (Alpine): use a system with glibc.";
    }
    return `uWebSockets.js has no binary for ${here}: use Node 20 (or 22, 24) on glibc Linux, macOS or Windows.`;
  }
}

function glibcVersion() {
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (
    process.report?.getReport() ?? {}
  );
  const version = report.header?.glibcVersionRuntime;
  return version === undefined ? "no glibc" : `glibc ${version}`;
}
