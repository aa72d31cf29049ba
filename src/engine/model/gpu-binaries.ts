import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type GpuKind = "cuda" | "vulkan" | "metal";

/** The native library, or the GPU that the settings name, cannot be used, whatever the model. */
export class LibraryUnavailable extends Error {}

/** Names of node-llama-cpp's binary packages by platform. */
const packages: Readonly<Record<string, Partial<Record<GpuKind, string>>>> = {
  "linux-x64": { cuda: "linux-x64-cuda", vulkan: "linux-x64-vulkan" },
  "win32-x64": { cuda: "win-x64-cuda", vulkan: "win-x64-vulkan" },
  "darwin-arm64": { metal: "mac-arm64-metal" },
};

/**
 * GPU kinds whose binaries are installed beside node-llama-cpp, fastest first. An installation without GPU binaries has
 * an empty placeholder package, which lacks the folder `bins`.
 *
 * @param from file whose `node_modules` are searched
 * @param platform `process.platform` and `process.arch`, joined by a hyphen
 */
export function installedGpuKinds(
  from: string = fileURLToPath(import.meta.resolve("node-llama-cpp")),
  platform = `${process.platform}-${process.arch}`,
): GpuKind[] {
  const names = packages[platform] ?? {};
  const kinds: GpuKind[] = ["metal", "cuda", "vulkan"];
  return kinds.filter((kind) => {
    const name = names[kind];
    return name !== undefined && hasBinaries(from, name);
  });
}

/** Checks the nearest folder of the package on the way up, the one that `import` resolves. */
function hasBinaries(from: string, name: string): boolean {
  let folder = dirname(from);
  for (;;) {
    const candidate = join(folder, "node_modules", "@node-llama-cpp", name);
    if (existsSync(candidate)) return existsSync(join(candidate, "bins"));
    const parent = dirname(folder);
    if (parent === folder) return false;
    folder = parent;
  }
}
