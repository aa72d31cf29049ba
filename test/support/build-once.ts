import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Global set-up of the projects that drive the built service: builds dist/ unless it is up to date. */
export default function buildOnce(): void {
  const script = fileURLToPath(new URL("../../scripts/build.mjs", import.meta.url));
  const { status } = spawnSync(process.execPath, [script, "--if-changed"], { stdio: "inherit" });
  if (status !== 0) throw new Error("the build failed, so the tests on the built service cannot run");
}
