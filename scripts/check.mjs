// npm run check: all checks that do not start the service: format, type-aware lint, types, generated docs, and the unit
// tests, including the architecture test. All steps run even if one fails; the exit code is 1 if any step failed.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);

/**
 * Path of the script of a command from an installed package.
 * @param {string} name of the package
 * @param {string} [command] default: the package's name
 */
function commandOf(name, command = name) {
  const manifest = require.resolve(`${name}/package.json`);
  const { bin } = /** @type {{ bin: string | Record<string, string> }} */ (require(manifest));
  const path = typeof bin === "string" ? bin : bin[command];
  if (path === undefined) throw new Error(`${name} has no command ${command}`);
  return join(manifest, "..", path);
}

/** @type {[label: string, args: string[]][]} */
const steps = [
  ["format (fix: npm run fix)", [commandOf("oxfmt"), "--check"]],
  ["lint", [commandOf("oxlint"), "--type-aware", "--deny-warnings"]],
  ["types of the server", [commandOf("typescript", "tsc"), "-p", "tsconfig.build.json", "--noEmit"]],
  ["types of the tests and scripts", [commandOf("typescript", "tsc"), "-p", "tsconfig.json"]],
  ["types of the page", [commandOf("typescript", "tsc"), "-p", "tsconfig.web.json", "--noEmit"]],
  ["generated docs (fix: npm run docs)", ["--import", "tsx", "scripts/docs.ts", "--check"]],
  ["unit tests", [commandOf("vitest"), "run", "--project", "unit"]],
];

const failed = steps.filter(([label, args]) => {
  const begin = performance.now();
  console.log(`── ${label}`);
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (error) console.error(error.message);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(`── ${label}: ${status === 0 ? "ok" : "FAILED"} (${seconds} s)\n`);
  return status !== 0;
});
if (failed.length > 0) {
  console.error(`npm run check failed: ${failed.map(([label]) => label).join("; ")}`);
  process.exitCode = 1;
}
