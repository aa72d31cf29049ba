// Builds dist/ (npm run build): compiles the server and the page's scripts with tsc, and copies the page's other files
// and the list of models. With --if-changed, builds only if a source has changed since dist/ was built.
//
// The build writes to a folder next to dist/ and then replaces dist/ with it. A failed build leaves dist/ unchanged,
// and no output of a deleted source remains.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, extname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const STAMP = ".build-stamp";

/** Single files that affect the build, relative to the root. */
const inputs = [
  "package-lock.json",
  "tsconfig.base.json",
  "tsconfig.build.json",
  "tsconfig.web.json",
  "models/models.json",
  "scripts/build.mjs",
];

/**
 * All files below a folder; none if it does not exist.
 * @param {string} folder
 * @returns {string[]}
 */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .toSorted();
}

/**
 * Hash of the names and contents of all sources.
 * @param {string} root folder of the project
 */
export function sourceStamp(root) {
  const files = [
    ...inputs.map((name) => join(root, name)).filter((file) => existsSync(file)),
    ...filesBelow(join(root, "src")),
    ...filesBelow(join(root, "web")),
  ];
  const hash = createHash("sha256");
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`${relative(root, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/**
 * Whether dist/ was built from the current sources.
 * @param {string} root folder of the project
 */
export function isUpToDate(root) {
  const stamp = join(root, "dist", STAMP);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === sourceStamp(root);
}

/** Whether TypeScript and the required types are installed. A production install lacks the types. */
export function hasCompiler() {
  return compilerPath() !== null;
}

function compilerPath() {
  try {
    const require = createRequire(import.meta.url);
    require.resolve("@types/node/package.json");
    const manifest = require.resolve("typescript/package.json");
    return join(manifest, "..", "bin", "tsc");
  } catch {
    return null;
  }
}

/**
 * @param {string} root
 * @param {string} project
 * @param {string} outDir
 */
function compile(root, project, outDir) {
  const tsc = compilerPath();
  if (tsc === null) throw new Error("TypeScript is not installed: run npm ci");
  const { status } = spawnSync(
    process.execPath,
    [tsc, "-p", project, "--outDir", outDir, "--noEmitOnError"],
    {
      cwd: root,
      stdio: "inherit",
    },
  );
  if (status !== 0) throw new Error(`${project} does not compile`);
}

/**
 * Builds the page: compiled scripts and copies of the other files. tsc also emits the server sources whose types the
 * page imports. They are not copied, because a browser must not be able to fetch them.
 * @param {string} root
 * @param {string} stage
 */
function buildWeb(root, stage) {
  const web = join(root, "web");
  const files = filesBelow(web);
  const target = join(stage, "web");
  if (files.some((file) => file.endsWith(".ts"))) {
    const scratch = join(stage, ".web-build");
    compile(root, "tsconfig.web.json", scratch);
    cpSync(join(scratch, "web"), target, { recursive: true });
    rmSync(scratch, { recursive: true });
  }
  for (const file of files) {
    if ([".ts", ".md"].includes(extname(file)) || basename(file) === "tsconfig.json") continue;
    const copy = join(target, relative(web, file));
    mkdirSync(join(copy, ".."), { recursive: true });
    copyFileSync(file, copy);
  }
}

/**
 * Builds dist/ of the project at `root`. Leaves dist/ unchanged if a source does not compile.
 * @param {string} root folder of the project
 * @throws {Error} if a source does not compile
 */
export function build(root) {
  const dist = join(root, "dist");
  // One stage per process, so that concurrent builds do not mix files. Same depth as dist/, so that source maps are
  // valid.
  const stage = join(root, `dist.${process.pid}`);
  const stamp = sourceStamp(root);
  rmSync(stage, { recursive: true, force: true });
  try {
    compile(root, "tsconfig.build.json", stage);
    buildWeb(root, stage);
    const models = join(root, "models", "models.json");
    // The server reads this copy, because a volume may be mounted over models/.
    if (existsSync(models)) copyFileSync(models, join(stage, "models.json"));
    writeFileSync(join(stage, STAMP), stamp);
    replaceFolder(dist, stage);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/**
 * @param {string} target
 * @param {string} replacement
 */
function replaceFolder(target, replacement) {
  const old = `${replacement}.old`;
  if (existsSync(target)) renameSync(target, old);
  renameSync(replacement, target);
  rmSync(old, { recursive: true, force: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  try {
    if (!(process.argv.includes("--if-changed") && isUpToDate(root))) build(root);
  } catch (error) {
    console.error(`build failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
