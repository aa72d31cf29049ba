// What npm start needs before it can build and run the service: a recent Node and the packages. Each fault is one line.
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
 * A line that says that the packages are missing, or null. Nothing is loaded: the service itself checks the binary of
 * uWebSockets.js before it loads it.
 * @param {(name: string) => unknown} resolve finds a package by name and throws where it is not installed
 * @returns {string | null}
 */
export function packagesFault(resolve = createRequire(import.meta.url).resolve) {
  try {
    resolve("uWebSockets.js");
    return null;
  } catch {
    return "The packages are not installed: run npm ci first.";
  }
}
