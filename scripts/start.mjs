// npm start: checks the requirements, builds if sources have changed, and runs the service in this process, so that
// signals reach the service and its exit code is that of the process.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, hasCompiler, isUpToDate } from "./build.mjs";
import { nodeFault, packagesFault } from "./requirements.mjs";

/**
 * @param {string} line
 * @returns {never}
 */
function giveUp(line) {
  console.error(line);
  process.exit(1);
}

/**
 * Builds dist/ unless it is up to date. Without sources or a compiler, as in an image, an existing dist/ is used.
 * @param {string} root
 */
function prepare(root) {
  const built = existsSync(join(root, "dist", "main.js"));
  const canBuild = existsSync(join(root, "src")) && hasCompiler();
  if (built && (!canBuild || isUpToDate(root))) return;
  if (!canBuild) giveUp("dist/ is missing and cannot be built: run npm ci without --omit=dev.");
  console.log("Building ...");
  try {
    build(root);
  } catch (error) {
    giveUp(`build failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const root = fileURLToPath(new URL("..", import.meta.url));
const fault = nodeFault(process.versions.node) ?? packagesFault();
if (fault !== null) giveUp(fault);
prepare(root);
const main = join(root, "dist", "main.js");
// As after `node dist/main.js`, for code that reads the path of the entry point.
process.argv[1] = main;
await import(pathToFileURL(main).href);
