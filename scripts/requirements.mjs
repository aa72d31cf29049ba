// Requirements of npm start: a recent Node version and the installed packages. Each fault is described in one line.
import { createRequire } from "node:module";

/** Minimum Node version, as in `engines` of package.json. */
const NODE_MAJOR = 20;
const NODE_MINOR = 11;

/**
 * A message if this version of Node is too old, or null.
 * @param {string} version such as `20.11.0`
 * @returns {string | null}
 */
export function nodeFault(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR)) return null;
  return `Node ${version} is too old: version ${NODE_MAJOR}.${NODE_MINOR} or newer is needed.`;
}

/**
 * A message if the packages are not installed, or null. Loads nothing: the service checks the binary of uWebSockets.js
 * before it loads it.
 * @param {(name: string) => unknown} resolve finds a package by name and throws if it is not installed
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
