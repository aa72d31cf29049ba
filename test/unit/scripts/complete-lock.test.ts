import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { completeLock, missingEntries, platformOfName } from "../../../scripts/complete-lock.mjs";

const lockFile = readFileSync(new URL("../../../package-lock.json", import.meta.url), "utf8");

describe("package-lock.json", () => {
  it("contains every optional package, as npm 11 requires", () => {
    expect(Object.keys(missingEntries(JSON.parse(lockFile).packages))).toEqual([]);
  });

  it("names no registry", () => {
    expect(lockFile).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
  });

  it("pins the socket library by its hash", () => {
    expect(JSON.parse(lockFile).packages["node_modules/uWebSockets.js"]).toMatchObject({
      name: "uwebsockets",
      version: "3.0.6",
      integrity: expect.stringMatching(/^sha512-/),
    });
  });
});

describe("completeLock", () => {
  const packages = {
    "": {},
    "node_modules/tool": {
      version: "1.2.3",
      dev: true,
      optionalDependencies: { "@tool/linux-x64-musl": "1.2.3", "@tool/win32-arm64": "1.2.3" },
    },
    "node_modules/@tool/linux-x64-musl": { version: "1.2.3" },
  };

  it("adds missing packages with their platform, in sorted order", () => {
    const { text, added } = completeLock(JSON.stringify({ packages }));
    expect(added).toEqual(["node_modules/@tool/win32-arm64"]);
    const { packages: completed } = JSON.parse(text);
    expect(completed["node_modules/@tool/win32-arm64"]).toEqual({
      version: "1.2.3",
      os: ["win32"],
      cpu: ["arm64"],
      dev: true,
      optional: true,
    });
    expect(Object.keys(completed)).toEqual(Object.keys(completed).toSorted());
  });

  it("changes nothing the second time", () => {
    const once = completeLock(JSON.stringify({ packages })).text;
    expect(completeLock(once)).toEqual({ text: once, added: [] });
  });

  it("finds a package nested in its parent", () => {
    const nested = {
      "node_modules/a": { optionalDependencies: { "b-linux-x64": "1.0.0" } },
      "node_modules/a/node_modules/b-linux-x64": { version: "1.0.0" },
    };
    expect(missingEntries(nested)).toEqual({});
  });

  it("removes registry addresses", () => {
    const lock = {
      packages: { "node_modules/a": { version: "1.0.0", resolved: "https://example.org/a.tgz" } },
    };
    expect(completeLock(JSON.stringify(lock)).text).not.toContain("example.org");
  });

  it("rejects a version range, because the version would be a guess", () => {
    const ranged = { "node_modules/a": { optionalDependencies: { "b-linux-x64": "^1.0.0" } } };
    expect(() => missingEntries(ranged)).toThrow("not an exact version");
  });

  it.each([
    ["@oxlint/binding-linux-x64-musl", { os: ["linux"], cpu: ["x64"], libc: ["musl"] }],
    ["@oxfmt/binding-linux-arm-gnueabihf", { os: ["linux"], cpu: ["arm"], libc: ["glibc"] }],
    ["@oxfmt/binding-win32-ia32-msvc", { os: ["win32"], cpu: ["ia32"] }],
    ["@node-llama-cpp/mac-arm64-metal", { os: ["darwin"], cpu: ["arm64"] }],
    ["@node-llama-cpp/win-x64-cuda-ext", { os: ["win32"], cpu: ["x64"] }],
  ])("derives the platform of %s", (name, platform) => expect(platformOfName(name)).toEqual(platform));

  it("rejects a name without a platform", () => {
    expect(() => platformOfName("@tool/wasm")).toThrow("cannot derive the platform");
  });
});
