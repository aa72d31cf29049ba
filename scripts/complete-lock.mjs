// Adds the packages of other platforms to package-lock.json (npm run lock).
//
// `npm install` leaves an optional package out of the lock file if the registry does not serve it, and `npm ci` of npm
// 11 then rejects the lock file as incomplete. All fields that `npm ci` needs can be derived from the package that
// depends on it: the path, the exact version, and the platform, which is part of the name.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** Words in package names that stand for a value of `process.platform`. */
const platforms = new Map([
  ["linux", "linux"],
  ["mac", "darwin"],
  ["darwin", "darwin"],
  ["win", "win32"],
  ["win32", "win32"],
  ["freebsd", "freebsd"],
  ["android", "android"],
  ["openharmony", "openharmony"],
  ["aix", "aix"],
  ["netbsd", "netbsd"],
  ["openbsd", "openbsd"],
  ["sunos", "sunos"],
]);

/** Words in package names that stand for a value of `process.arch`. */
const processors = new Map([
  ["x64", "x64"],
  ["arm64", "arm64"],
  ["arm", "arm"],
  ["armv7l", "arm"],
  ["ia32", "ia32"],
  ["ppc64", "ppc64"],
  ["riscv64", "riscv64"],
  ["s390x", "s390x"],
  ["loong64", "loong64"],
  ["mips64el", "mips64el"],
]);

const libraries = new Map([
  ["gnu", "glibc"],
  ["gnueabihf", "glibc"],
  ["musl", "musl"],
  ["musleabihf", "musl"],
]);

/**
 * @typedef {{ os: string[], cpu: string[], libc?: string[] }} Platform
 * @typedef {{ version?: string, dev?: boolean, optional?: boolean, devOptional?: boolean, peer?: boolean,
 *   optionalDependencies?: Record<string, string> } & Partial<Platform>} LockedPackage
 * @typedef {Record<string, LockedPackage>} LockedPackages
 */

/**
 * Platform of a package, derived from its name, such as `@oxlint/binding-linux-x64-musl`.
 * @param {string} name
 * @returns {Platform}
 */
export function platformOfName(name) {
  const words = name.slice(name.lastIndexOf("/") + 1).split("-");
  const find = (/** @type {Map<string, string>} */ table) =>
    words.map((word) => table.get(word)).find(Boolean);
  const os = find(platforms);
  const cpu = find(processors);
  const libc = find(libraries);
  if (os === undefined || cpu === undefined) {
    throw new Error(
      `cannot derive the platform of ${name} from its name; add its words to scripts/complete-lock.mjs`,
    );
  }
  return { os: [os], cpu: [cpu], ...(libc !== undefined && os === "linux" && { libc: [libc] }) };
}

/**
 * Whether Node's module resolution, starting at the package in `path`, finds `name` in the lock file.
 * @param {LockedPackages} packages
 * @param {string} path
 * @param {string} name
 */
function isLocked(packages, path, name) {
  for (let folder = path; ;) {
    if (packages[`${folder}${folder === "" ? "" : "/"}node_modules/${name}`] !== undefined) return true;
    if (folder === "") return false;
    folder = folder.slice(0, Math.max(folder.lastIndexOf("node_modules/") - 1, 0));
  }
}

/**
 * Entries that are missing in the lock file, by path.
 * @param {LockedPackages} packages
 * @returns {LockedPackages}
 */
export function missingEntries(packages) {
  /** @type {LockedPackages} */
  const missing = {};
  for (const [path, parent] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      if (isLocked(packages, path, name)) continue;
      if (!/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) {
        throw new Error(`${name} is missing in the lock file, and "${version}" is not an exact version`);
      }
      const { os, cpu, libc } = platformOfName(name);
      // The keys are in npm's own order, so that a later `npm install` does not change the file.
      missing[`node_modules/${name}`] = {
        version,
        cpu,
        ...(parent.dev === true && { dev: true }),
        ...(libc !== undefined && { libc }),
        optional: true,
        os,
      };
    }
  }
  return missing;
}

/**
 * Text of the completed lock file, formatted as npm formats it, and the paths of the added entries.
 * @param {string} text
 */
export function completeLock(text) {
  const lock = JSON.parse(text);
  const missing = missingEntries(lock.packages);
  const entries = Object.entries({ ...lock.packages, ...missing });
  entries.sort(([a], [b]) => a.localeCompare(b, "en"));
  lock.packages = Object.fromEntries(entries);
  // The lock file names no registry: each installation uses its own.
  for (const entry of Object.values(lock.packages)) delete entry.resolved;
  return { text: `${JSON.stringify(lock, null, 2)}\n`, added: Object.keys(missing) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const file = new URL("../package-lock.json", import.meta.url);
  const before = readFileSync(file, "utf8");
  const { text, added } = completeLock(before);
  if (text !== before) writeFileSync(file, text);
  console.log(
    added.length === 0
      ? "package-lock.json is complete"
      : `package-lock.json: added ${added.length} packages for other platforms`,
  );
}
