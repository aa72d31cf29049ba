import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ConfigError } from "../../../src/config/config-error.ts";
import { loadFrom } from "../../../src/config/environment.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "environment-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe("loadFrom", () => {
  it("works without a .env file", () => {
    vi.stubEnv("MODEL_PATH", "/a.gguf");
    expect(loadFrom(folder).config.MODEL_PATH).toBe("/a.gguf");
  });

  it("reads .env, with precedence for environment variables, even empty ones", () => {
    vi.stubEnv("MODEL_PATH", "/real.gguf");
    vi.stubEnv("SYSTEM_PROMPT", "");
    writeFileSync(join(folder, ".env"), "MODEL_PATH=/file.gguf\nSYSTEM_PROMPT=x\nECHO_SLOTS=3\n");
    expect(loadFrom(folder).config).toMatchObject({
      MODEL_PATH: "/real.gguf",
      SYSTEM_PROMPT: "",
      ECHO_SLOTS: 3,
    });
  });

  it("rejects malformed lines and reports their numbers", () => {
    writeFileSync(join(folder, ".env"), "ECHO_SLOTS=3\noops\n");
    expect(() => loadFrom(folder)).toThrow(new ConfigError([".env line 2: not of the form NAME=value"]));
  });

  it("rejects an unreadable .env instead of ignoring it", () => {
    mkdirSync(join(folder, ".env"));
    expect(() => loadFrom(folder)).toThrow(/\.env: cannot be read \(EISDIR\)/);
  });

  it("reads the .env file of the given folder", () => {
    writeFileSync(join(folder, ".env"), "ECHO_SLOTS=3\n");
    expect(loadFrom(folder).config.ECHO_SLOTS).toBe(3);
  });

  it("lists the faults of .env and of the values together", () => {
    writeFileSync(join(folder, ".env"), "oops\nECHO_SLOTS=x\n");
    expect(() => loadFrom(folder)).toThrow(/2 errors:\n {2}\.env line 1: .*\n {2}ECHO_SLOTS: given "x"/);
  });

  it("rejects a malformed .env even if all values are valid", () => {
    writeFileSync(join(folder, ".env"), "oops\n");
    expect(() => loadFrom(folder)).toThrow(ConfigError);
  });

  it.each([
    [{ HTTPS_PROXY: "http://a.test" }, "", "http://a.test"],
    [{ https_proxy: "http://a.test" }, "", "http://a.test"],
    [{ HTTPS_PROXY: "http://a.test", https_proxy: "http://b.test" }, "", "http://b.test"],
    [{ HTTPS_PROXY: "http://a.test" }, "https_proxy=http://b.test", "http://a.test"],
    [{}, "https_proxy=http://b.test", "http://b.test"],
    [{ HTTPS_PROXY: "http://a.test", https_proxy: "" }, "", undefined],
  ])("reads the proxy from %j and .env %j", (variables, file, expected) => {
    for (const name of ["HTTPS_PROXY", "https_proxy"]) vi.stubEnv(name, undefined);
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    writeFileSync(join(folder, ".env"), file);
    expect(loadFrom(folder).config.HTTPS_PROXY).toBe(expected);
  });

  it.each<BufferEncoding>(["utf16le", "latin1"])(
    "rejects a .env in %s with one line, whatever it holds",
    (encoding) => {
      writeFileSync(join(folder, ".env"), Buffer.from("PORT=abc\nSYSTEM_PROMPT=né\noops\n", encoding));
      let faults: readonly string[] = [];
      try {
        loadFrom(folder);
      } catch (error) {
        if (error instanceof ConfigError) ({ faults } = error);
      }
      expect(faults).toEqual([
        expect.stringMatching(/^\.env: is (not )?encoded in UTF-.*; save it as UTF-8$/),
      ]);
    },
  );

  it("lists the faults of further checks with all others, and passes them the settings", () => {
    writeFileSync(join(folder, ".env"), "oops\nECHO_SLOTS=x\nJWT_PUBLIC_KEY_FILE=/nowhere\n");
    const check = ({ JWT_PUBLIC_KEY_FILE: file }: { JWT_PUBLIC_KEY_FILE?: string | undefined }) => [
      `file ${file}`,
    ];
    expect(() => loadFrom(folder, [check])).toThrow(
      /3 errors:\n.* line 1: .*\n.*ECHO_SLOTS: .*\n {2}file \/nowhere$/,
    );
    writeFileSync(join(folder, ".env"), "");
    expect(() => loadFrom(folder, [check])).toThrow(/has an error:\n {2}file undefined$/);
  });
});
