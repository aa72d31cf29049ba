import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Global setup of the test projects that use the built service. Builds dist/ unless it is up to date. */
export default function buildOnce(): void {
  const script = fileURLToPath(new URL("../../scripts/build.mjs", import.meta.url));
  const { status } = spawnSync(process.execPath, [script, "--if-changed"], { stdio: "inherit" });
  if (status !== 0)
    throw new Error(
      "The build failed, so tests and benches of the built service cannot run. Fix the errors above.",
    );
}
