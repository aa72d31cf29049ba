import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export type GpuKind = "cuda" | "vulkan" | "metal";

const packages: Readonly<Record<string, Partial<Record<GpuKind, string>>>> = {
  "linux-x64": { cuda: "linux-x64-cuda", vulkan: "linux-x64-vulkan" },
  "win32-x64": { cuda: "win-x64-cuda", vulkan: "win-x64-vulkan" },
  "darwin-arm64": { metal: "mac-arm64-metal" },
};

/**
 * The kinds of GPU whose binaries are really installed beside node-llama-cpp, the fastest first. Where they are not
 * wanted an empty package stands in their place; it has no folder `bins`.
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

/** The first folder of the package on the way up is the one that counts, as for `import`. */
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
