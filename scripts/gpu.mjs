// npm run gpu [-- cuda|vulkan]: adds the GPU binaries for the installed version of node-llama-cpp (Linux x64; default
// cuda). `npm ci` does not install them, because they would triple the size of node_modules, and it removes them again.
//
// They are placed in node_modules of node-llama-cpp itself, where they take precedence over the empty packages that
// `overrides` in package.json installs. `npm install` cannot add a package that is overridden.
//   --package NAME   adds @node-llama-cpp/NAME instead     --into FOLDER   uses another project
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const SCOPE = "@node-llama-cpp";

/** @type {Record<string, string[]>} */
const packagesOfKind = {
  cuda: ["linux-x64-cuda", "linux-x64-cuda-ext"],
  vulkan: ["linux-x64-vulkan"],
};

class GpuError extends Error {}

/**
 * Runs npm in `cwd` and returns its output.
 * @param {string[]} args
 * @param {string} cwd
 */
function npm(args, cwd) {
  const cli = process.env["npm_execpath"];
  const [command, first] = cli === undefined ? ["npm", []] : [process.execPath, [cli]];
  try {
    return execFileSync(command, [...first, ...args, "--fetch-retries=1"], {
      cwd,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    const output = /** @type {{ stderr?: string }} */ (error).stderr ?? "";
    const reason = output.split("\n").filter((line) => /^npm (error|ERR!)/.test(line));
    throw new GpuError(`npm ${args[0]} failed: ${reason.slice(0, 4).join(" ") || String(error)}`);
  }
}

/** @param {string} root */
function installedVersion(root) {
  const manifest = join(root, "node_modules", "node-llama-cpp", "package.json");
  if (!existsSync(manifest)) throw new GpuError("node-llama-cpp is not installed: run npm ci first");
  return /** @type {{ version: string }} */ (JSON.parse(readFileSync(manifest, "utf8"))).version;
}

/**
 * Adds one package of binaries to the project at `root`: downloads it with npm, verifies its hash against the registry,
 * and unpacks it. An existing copy is replaced only after the new one is complete.
 * @param {string} root
 * @param {string} name without the scope
 * @param {string} version
 */
function addBinaries(root, name, version) {
  const folder = join(root, "node_modules", "node-llama-cpp", "node_modules", SCOPE);
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, ".fetch-"));
  try {
    const id = `${SCOPE}/${name}@${version}`;
    const integrity = npm(["view", id, "dist.integrity"], scratch).trim();
    npm(["pack", id, "--silent", "--ignore-scripts", "--pack-destination", scratch], scratch);
    const tarball = readdirSync(scratch).find((file) => file.endsWith(".tgz"));
    if (tarball === undefined) throw new GpuError(`npm pack ${id} created no file`);
    const hash = createHash("sha512")
      .update(readFileSync(join(scratch, tarball)))
      .digest("base64");
    if (integrity !== `sha512-${hash}`)
      throw new GpuError(`the hash of ${id} differs from the one in the registry`);
    const unpacked = join(scratch, name);
    mkdirSync(unpacked);
    execFileSync("tar", ["-xzf", join(scratch, tarball), "--strip-components=1", "-C", unpacked]);
    const target = join(folder, name);
    rmSync(target, { recursive: true, force: true });
    renameSync(unpacked, target);
    console.log(`added ${id} (${integrity.slice(0, 22)}...)`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * @param {string | undefined} kind
 * @returns {string[]}
 */
function packagesFor(kind) {
  const here = `${process.platform}-${process.arch}`;
  if (kind !== undefined && packagesOfKind[kind] === undefined) {
    throw new GpuError(`unknown GPU kind ${kind}; available: ${Object.keys(packagesOfKind).join(", ")}`);
  }
  if (here === "linux-x64") return packagesOfKind[kind ?? "cuda"] ?? [];
  if (process.platform === "linux") throw new GpuError(`node-llama-cpp has no GPU binaries for ${here}`);
  throw new GpuError(`npm ci has already installed all GPU binaries for ${here}`);
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { package: { type: "string" }, into: { type: "string" } },
  });
  const root = values.into ?? fileURLToPath(new URL("..", import.meta.url));
  const names = values.package === undefined ? packagesFor(positionals[0]) : [values.package];
  const version = installedVersion(root);
  for (const name of names) {
    if (!/^[a-z0-9-]+$/.test(name)) throw new GpuError(`${name} is not a package name`);
    console.log(`Downloading ${SCOPE}/${name}@${version} ...`);
    addBinaries(root, name, version);
  }
  console.log("Done. The binaries are used from the next start (see the setting GPU). npm ci removes them.");
}

try {
  main();
} catch (error) {
  console.error(error instanceof GpuError ? error.message : error);
  process.exitCode = 1;
}
