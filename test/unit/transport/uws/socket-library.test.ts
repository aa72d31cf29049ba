import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import uWS from "uWebSockets.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { binarySums } from "../../../../src/transport/uws/binary-sums.ts";
import { loadSocketLibrary } from "../../../../src/transport/uws/socket-library.ts";

const installedFolder = dirname(createRequire(import.meta.url).resolve("uWebSockets.js"));
const name = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
const sumOf = (bytes: string | Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("the list of SHA-256 sums", () => {
  it("matches the installed package for every supported Node version", () => {
    const binaries = readdirSync(installedFolder).filter((file) =>
      /^uws_(linux|darwin|win32)_(x64|arm64)_(115|120|127|137|141)\.node$/.test(file),
    );
    expect(Object.keys(binarySums).toSorted()).toEqual(binaries.toSorted());
    for (const file of binaries) {
      expect(binarySums[file], file).toBe(sumOf(readFileSync(join(installedFolder, file))));
    }
  });
});

describe("loadSocketLibrary", () => {
  let folder: string;
  let loaded: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uws-"));
    loaded = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const source = (load: (file: string) => unknown = () => ({ App: true })) => ({
    folder: () => folder,
    load: (file: string) => {
      loaded.push(file);
      return load(file);
    },
  });
  const faultOf = (act: () => unknown): string => {
    try {
      act();
    } catch (error) {
      return (error as Error).message;
    }
    return "none";
  };
  const failing = (message: string) => () => {
    throw new Error(message);
  };

  it("loads the installed binary", () => {
    expect(loadSocketLibrary([]).App).toBe(uWS.App);
  });

  it("refuses a binary with an unknown sum, and names the setting that allows it", () => {
    writeFileSync(join(folder, name), "changed");
    const fault = faultOf(() => loadSocketLibrary([sumOf("another")], source()));
    expect(fault).toContain(`${name} of uWebSockets.js was not loaded`);
    expect(fault).toContain(sumOf("changed"));
    expect(fault).toContain("UWS_SHA256");
    expect(loaded).toEqual([]);
  });

  it("loads a binary whose sum the operator allows", () => {
    writeFileSync(join(folder, name), "official");
    expect(loadSocketLibrary([sumOf("official")], source())).toEqual({ App: true });
    expect(loaded).toEqual([join(folder, name)]);
  });

  it("reports that the packages are not installed", () => {
    const missing = { folder: failing("Cannot find module 'uWebSockets.js'"), load: () => null };
    expect(faultOf(() => loadSocketLibrary([], missing))).toMatch(/not installed: run npm ci/);
  });

  it("names the versions of Node that have a binary if this one has none", () => {
    const fault = faultOf(() => loadSocketLibrary([], source()));
    expect(fault).toContain(
      `no binary for Node ${process.versions.node} on ${process.platform}-${process.arch}`,
    );
    expect(fault).toContain("Use Node 24 (recommended), 22 or 20");
    expect(loaded).toEqual([]);
  });

  it.each([
    [
      "/lib/libc.so.6: version `GLIBC_2.38' not found (required by …)\nmore",
      "needs glibc 2.38, and this system has glibc",
    ],
    ["libc.musl-x86_64.so.1: cannot open shared object file", "musl (Alpine)"],
    [
      "Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by …)",
      "musl (Alpine)",
    ],
    ["invalid ELF header\nmore", "could not be loaded: invalid ELF header"],
  ])("shortens the system's error to one line: %j", (message, expected) => {
    writeFileSync(join(folder, name), "official");
    const fault = faultOf(() => loadSocketLibrary([sumOf("official")], source(failing(message))));
    expect(fault).toContain(expected);
    expect(fault).not.toContain("\n");
  });
});
