import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { installedGpuKinds } from "../../../../src/engine/model/gpu-binaries.ts";

let root: string;
const add = (...parts: string[]) => mkdirSync(join(root, ...parts), { recursive: true });
const kinds = () => installedGpuKinds(join(root, "node_modules/node-llama-cpp/dist/index.js"), "linux-x64");

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "gpu-"));
});
afterEach(() => rmSync(root, { recursive: true }));

describe("installedGpuKinds", () => {
  it("finds none where the packages are absent or empty stand-ins", () => {
    expect(kinds()).toEqual([]);
    add("node_modules/@node-llama-cpp/linux-x64-cuda");
    expect(kinds()).toEqual([]);
  });

  it("finds a package with binaries", () => {
    add("node_modules/@node-llama-cpp/linux-x64-vulkan/bins");
    expect(kinds()).toEqual(["vulkan"]);
  });

  it("takes the nearer of two, so that real binaries win over a stand-in further up", () => {
    add("node_modules/@node-llama-cpp/linux-x64-cuda");
    add("node_modules/node-llama-cpp/node_modules/@node-llama-cpp/linux-x64-cuda/bins");
    expect(kinds()).toEqual(["cuda"]);
  });

  it("finds none on a platform that has none", () => {
    expect(installedGpuKinds(root, "linux-riscv64")).toEqual([]);
  });
});
