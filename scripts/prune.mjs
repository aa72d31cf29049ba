// Removes from node_modules all files that one platform and Node version do not need. For images, after
// `npm ci --omit=dev`.
//   node scripts/prune.mjs [--modules node_modules] [--platform linux] [--arch x64] [--abi 137] [--dry-run]
// `--abi` is process.versions.modules of the Node that will run the service. The defaults are those of this machine.
import { existsSync, lstatSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** @typedef {{ modules: string, platform: string, arch: string, abi: string }} Target */

/** Platform names of node-llama-cpp. */
const llamaPlatforms = new Map([
  ["linux", "linux"],
  ["darwin", "mac"],
  ["win32", "win"],
]);

/** Folders and files of packages that are unused, or used only for building from source. */
const unusedFolders = [
  ...["docs", "examples", "tests", "misc", "mvp", "src", "scripts"].map((name) => `uWebSockets.js/${name}`),
  "openai/src",
  "@huggingface/inference/src",
  "node-llama-cpp/templates",
  "node-llama-cpp/llama/addon",
  "node-llama-cpp/llama/gitRelease.bundle",
  // Peer dependencies for building, which the image does not do.
  "typescript",
  "@typescript",
];

/** @param {string} folder */
function entriesOf(folder) {
  return existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
}

/**
 * Binaries of uWebSockets.js for other platforms and Node versions.
 * @param {Target} target
 */
function foreignSocketBinaries({ modules, platform, arch, abi }) {
  const wanted = `uws_${platform}_${arch}_${abi}.node`;
  const binaries = entriesOf(join(modules, "uWebSockets.js")).filter(({ name }) =>
    /^uws_.*\.node$/.test(name),
  );
  if (!binaries.some(({ name }) => name === wanted)) {
    throw new Error(`uWebSockets.js has no binary ${wanted}; check --platform, --arch and --abi`);
  }
  return binaries
    .filter(({ name }) => name !== wanted)
    .map(({ name }) => join(modules, "uWebSockets.js", name));
}

/**
 * Packages of node-llama-cpp for other platforms. The empty packages that replace GPU binaries stay: they are tiny.
 * @param {Target} target
 */
function foreignModelBinaries({ modules, platform, arch }) {
  const own = `${llamaPlatforms.get(platform)}-${arch}`;
  return entriesOf(join(modules, "@node-llama-cpp"))
    .filter(({ name }) => name !== own && !name.startsWith(`${own}-`))
    .map(({ name }) => join(modules, "@node-llama-cpp", name))
    .filter((folder) => existsSync(join(folder, "bins")));
}

/**
 * Type declarations and source maps of all packages.
 * @param {string} folder
 * @returns {string[]}
 */
function unusedFiles(folder) {
  return entriesOf(folder).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return unusedFiles(path);
    return /\.(d\.[cm]?ts|[cm]?js\.map|[cm]?ts\.map)$/.test(entry.name) ? [path] : [];
  });
}

/**
 * All paths that can be removed.
 * @param {Target} target
 */
function unusedPaths(target) {
  return [
    ...foreignSocketBinaries(target),
    ...foreignModelBinaries(target),
    ...unusedFolders.map((name) => join(target.modules, name)).filter((path) => existsSync(path)),
    ...unusedFiles(target.modules),
  ];
}

/**
 * Bytes on disk of a file or folder.
 * @param {string} path
 * @returns {number}
 */
function diskUse(path) {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  const own = stats.blocks * 512;
  return stats.isDirectory()
    ? entriesOf(path).reduce((sum, { name }) => sum + diskUse(join(path, name)), own)
    : own;
}

/** @param {string} folder */
function removeEmptyFolders(folder) {
  for (const entry of entriesOf(folder)) {
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  }
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

/** @param {number} bytes */
const megabytes = (bytes) => `${Math.round(bytes / 1024 / 1024)} MB`;

const { values } = parseArgs({
  options: {
    modules: { type: "string", default: "node_modules" },
    platform: { type: "string", default: process.platform },
    arch: { type: "string", default: process.arch },
    abi: { type: "string", default: process.versions.modules },
    "dry-run": { type: "boolean", default: false },
  },
});
try {
  const paths = unusedPaths(values);
  const before = diskUse(values.modules);
  if (values["dry-run"]) {
    for (const path of paths) console.log(`would remove ${path}`);
  } else {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
    removeEmptyFolders(values.modules);
    console.log(
      `${values.modules}: reduced from ${megabytes(before)} to ${megabytes(diskUse(values.modules))}`,
    );
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
