import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));

function script(name: string, ...args: string[]): Promise<{ failed: boolean; output: string }> {
  return new Promise((resolve) => {
    const path = join(repository, "scripts", name);
    execFile(process.execPath, [path, ...args], { cwd: repository }, (error, out, err) =>
      resolve({ failed: error !== null, output: `${out}${err}` }),
    );
  });
}

async function temporaryProject(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "packages-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
}

async function put(root: string, name: string, text = "x"): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true });
  await writeFile(join(root, name), text);
}

describe("npm run gpu", () => {
  /** The smallest package of binaries (13 MB), used instead of the large ones for GPUs. */
  const small = "linux-armv7l";

  it("adds binaries of the installed version, in a folder that takes precedence over the empty package", async ({
    skip,
  }) => {
    const root = await temporaryProject();
    const modules = join(root, "node_modules");
    const installed = join(repository, "node_modules");
    const manifest = JSON.parse(await readFile(join(installed, "node-llama-cpp/package.json"), "utf8"));
    await put(root, "node_modules/node-llama-cpp/package.json", JSON.stringify(manifest));
    await cp(join(installed, "@node-llama-cpp", small), join(modules, "@node-llama-cpp", small), {
      recursive: true,
    });

    const { failed, output } = await script("gpu.mjs", "--package", small, "--into", root);
    skip(
      failed && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|\bE(404|5\d\d)\b/.test(output),
      `the package registry cannot be reached: ${output.split("\n").at(-2)}`,
    );
    expect(output).toContain(`added @node-llama-cpp/${small}@${manifest.version}`);
    expect(failed).toBe(false);

    const added = join(modules, "node-llama-cpp/node_modules/@node-llama-cpp", small);
    expect(JSON.parse(await readFile(join(added, "package.json"), "utf8"))).toMatchObject({
      name: `@node-llama-cpp/${small}`,
      version: manifest.version,
    });
    expect(existsSync(join(added, "bins"))).toBe(true);
    // No temporary files of the download are left.
    expect(await readdir(dirname(added))).toEqual([small]);
  });

  it("reports what to do if node-llama-cpp is not installed", async () => {
    const { failed, output } = await script(
      "gpu.mjs",
      "--package",
      small,
      "--into",
      await temporaryProject(),
    );
    expect(failed).toBe(true);
    expect(output).toBe("node-llama-cpp is not installed: run npm ci first\n");
  });

  it.each([[["--package", "../evil"]], [["metal9"]]])("refuses the arguments %j", async (args) => {
    const root = await temporaryProject();
    await put(root, "node_modules/node-llama-cpp/package.json", '{"version":"1.0.0"}');
    const { failed, output } = await script("gpu.mjs", "--into", root, ...args);
    expect(failed).toBe(true);
    expect(output).toMatch(/^(unknown GPU kind metal9|\.\.\/evil is not a package name)/);
  });
});

describe("pruning for an image", () => {
  async function modulesOfTwoPlatforms(): Promise<string> {
    const root = await temporaryProject();
    const files = [
      "uWebSockets.js/uws.js",
      "uWebSockets.js/uws_linux_x64_137.node",
      "uWebSockets.js/uws_linux_x64_115.node",
      "uWebSockets.js/uws_darwin_arm64_137.node",
      "uWebSockets.js/docs/index.html",
      "@node-llama-cpp/linux-x64/bins/a.so",
      "@node-llama-cpp/linux-x64-cuda/index.js",
      "@node-llama-cpp/linux-arm64/bins/a.so",
      "node-llama-cpp/node_modules/@node-llama-cpp/linux-x64-cuda/bins/a.so",
      "typescript/bin/tsc",
      "openai/index.js",
      "openai/index.js.map",
      "openai/index.d.ts",
    ];
    for (const name of files) await put(join(root, "node_modules"), name);
    return join(root, "node_modules");
  }

  const target = ["--platform", "linux", "--arch", "x64", "--abi", "137"];

  it("keeps what the platform needs, including GPU binaries, and removes the rest", async () => {
    const modules = await modulesOfTwoPlatforms();
    const { failed } = await script("prune.mjs", "--modules", modules, ...target);
    expect(failed).toBe(false);
    const paths = (await readdir(modules, { recursive: true })).toSorted();
    const isFile = await Promise.all(paths.map(async (path) => (await stat(join(modules, path))).isFile()));
    expect(paths.filter((_, index) => isFile[index])).toEqual([
      "@node-llama-cpp/linux-x64-cuda/index.js",
      "@node-llama-cpp/linux-x64/bins/a.so",
      "node-llama-cpp/node_modules/@node-llama-cpp/linux-x64-cuda/bins/a.so",
      "openai/index.js",
      "uWebSockets.js/uws.js",
      "uWebSockets.js/uws_linux_x64_137.node",
    ]);
  });

  it("removes nothing if there is no uWebSockets.js binary for the target", async () => {
    const modules = await modulesOfTwoPlatforms();
    const before = await readdir(modules, { recursive: true });
    const { failed, output } = await script("prune.mjs", "--modules", modules, "--abi", "999");
    expect(failed).toBe(true);
    expect(output).toMatch(/has no binary uws_.*_999\.node/);
    expect(await readdir(modules, { recursive: true })).toEqual(before);
  });

  it("only prints what it would remove with --dry-run", async () => {
    const modules = await modulesOfTwoPlatforms();
    const before = await readdir(modules, { recursive: true });
    const { output } = await script("prune.mjs", "--modules", modules, ...target, "--dry-run");
    expect(output).toContain("would remove");
    expect(await readdir(modules, { recursive: true })).toEqual(before);
  });
});
