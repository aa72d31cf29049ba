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
  it("finds no kind when the packages are missing or empty placeholders", () => {
    expect(kinds()).toEqual([]);
    add("node_modules/@node-llama-cpp/linux-x64-cuda");
    expect(kinds()).toEqual([]);
  });

  it("finds the kind of a package with binaries", () => {
    add("node_modules/@node-llama-cpp/linux-x64-vulkan/bins");
    expect(kinds()).toEqual(["vulkan"]);
  });

  it("prefers the nearer of two packages to a placeholder further up", () => {
    add("node_modules/@node-llama-cpp/linux-x64-cuda");
    add("node_modules/node-llama-cpp/node_modules/@node-llama-cpp/linux-x64-cuda/bins");
    expect(kinds()).toEqual(["cuda"]);
  });

  it("finds no kind on a platform without GPU packages", () => {
    expect(installedGpuKinds(root, "linux-riscv64")).toEqual([]);
  });
});
