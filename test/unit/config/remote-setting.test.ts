import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config/config-error.ts";
import { loadConfig, type Environment } from "../../../src/config/load.ts";

function faultOf(env: Environment): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError && error.faults.length === 1) return error.faults[0] as string;
    throw error;
  }
  return "";
}

const KEY = "sk-proj-0123456789";

describe.each(["OPENAI_API_KEY", "HF_API_KEY", "METRICS_TOKEN"] as const)("%s", (name) => {
  it.each([
    KEY,
    ` ${KEY} `,
    `${KEY}\n`,
    `${KEY}\r\n`,
    `\t${KEY}`,
    `"${KEY}"`,
    `'${KEY}'`,
    `“${KEY}”`,
    `„${KEY}“`,
    `«${KEY}»`,
    `Bearer ${KEY}`,
    `bearer  "${KEY}"`,
    `"Bearer ${KEY}"\n`,
    `\uFEFF${KEY}`,
  ])("is unwrapped from %j", (given) => {
    expect(loadConfig({ [name]: given }).config[name]).toBe(KEY);
  });

  it.each([
    ["sk-01\n23", "a line break (U+000A) at character 6"],
    ["sk-01\r\n23", "a line break (U+000D) at character 6"],
    ["sk-01 23", "a space (U+0020) at character 6"],
    ["sk-01\u00A023", "a no-break space (U+00A0) at character 6"],
    ["sk-01\u200B23", "a zero-width space (U+200B) at character 6"],
    ["\u200Bsk-0123", "a zero-width space (U+200B) at character 1"],
    ["sk-0123\u2060", "a zero-width character (U+2060) at character 8"],
    ["sk-01\u00AD23", "a soft hyphen (U+00AD) at character 6"],
    ["sk-01…23", "the character U+2026 at character 6"],
    ["sk–0123", "the character U+2013 at character 3"],
    ["sk-01é23", "the character U+00E9 at character 6"],
    ["sk-01😀23", "the character U+1F600 at character 6"],
    ["sk-01\u007F23", "the character U+007F at character 6"],
    ["sk-01\uFFFD23", "a character that was damaged by a wrong encoding (U+FFFD) at character 6"],
  ])("is refused for %j without being shown", (given, found) => {
    const fault = faultOf({ [name]: given });
    expect(fault).toMatch(new RegExp(`^${name}: given \\(hidden\\); allowed: `));
    expect(fault).toContain(`it contains ${found}`);
    expect(fault).not.toContain("sk");
  });

  it.each(["", "  ", '""', "Bearer ", "\n"])("is refused for %j, which holds no key", (given) => {
    expect(faultOf({ [name]: given })).toMatch(new RegExp(`^${name}: given .*; allowed: `));
  });
});

describe.each(["OPENAI_BASE_URL", "HF_BASE_URL"] as const)("%s", (name) => {
  it.each([
    ["https://api.example.org/v1", "https://api.example.org/v1"],
    [" https://api.example.org/v1\n", "https://api.example.org/v1"],
    ['"https://api.example.org/v1"', "https://api.example.org/v1"],
    ["https://api.example.org/v1/chat/completions", "https://api.example.org/v1/chat/completions"],
    [
      "https://x.example/openai/deployments/gpt?api-version=2024-10-21",
      "https://x.example/openai/deployments/gpt?api-version=2024-10-21",
    ],
    ["https://x.services.example/models", "https://x.services.example/models"],
    ["https://bücher.example/v1", "https://bücher.example/v1"],
    ["http://127.0.0.1:11434/v1/#", "http://127.0.0.1:11434/v1/#"],
  ])("may be %j", (given, kept) => {
    expect(loadConfig({ [name]: given }).config[name]).toBe(kept);
  });

  it.each([
    ["api.example.org/v1", "begins with http"],
    ["ws://api.example.org", "begins with http"],
    ["https://api.example.org/v1#frag", "without a fragment"],
    ["https://user:a#b@api.example.org", "begins with http"],
    ["https://api.example.org/v1?a=b#frag", "without a fragment"],
    ["https://api.example.org/v1\u200B", "a zero-width space (U+200B) at character 27"],
    ["https://api.exa\u200Bmple.org/v1", "a zero-width space (U+200B) at character 16"],
    ["https://api.example.org/v1 /x", "a space (U+0020) at character 27"],
    ["https://api.exam\nple.org/v1", "a line break (U+000A) at character 17"],
    ["https://api.example.org/v1/completions", "another API"],
    ["https://api.example.org/v1/responses/", "another API"],
    ["https://api.example.org/v1/embeddings", "another API"],
    ["https://api.example.org/v1/messages", "another API"],
    ["https://api.example.org/v1/models", "another API"],
    ["https://api.example.org/v1/chat", "another API"],
    ["http://127.0.0.1:11434/api/chat", "another API"],
    ["http://127.0.0.1:11434/api/generate", "another API"],
  ])("is refused as %j", (given, found) => {
    const fault = faultOf({ [name]: given });
    expect(fault).toMatch(new RegExp(`^${name}: given "`));
    expect(fault).toContain(found);
  });

  it("is shown without the password and the query", () => {
    for (const given of [
      "https://user:hush@api.example.org/v1#x",
      "https://user:a/hush@api.example.org/v1#x",
      "https://user:a@hush@api.example.org/v1#x",
      "user:hush@api.example.org/v1",
      "https:user:hush@api.example.org/v1#x",
      "https://api.example.org/v1?key=hush#x",
    ]) {
      expect(faultOf({ [name]: given }), given).not.toContain("hush");
    }
  });
});

describe("proxy settings", () => {
  it.each([
    ["http://proxy.example.org:3128", "http://proxy.example.org:3128"],
    ["https://proxy.example.org", "https://proxy.example.org"],
    ["proxy.example.org:3128", "http://proxy.example.org:3128"],
    ["user:p%40ss@proxy.example.org:3128", "http://user:p%40ss@proxy.example.org:3128"],
    ["", undefined],
    [" ", undefined],
  ])("may be %j", (given, kept) => {
    expect(loadConfig({ HTTPS_PROXY: given }).config.HTTPS_PROXY).toBe(kept);
  });

  it.each([
    "socks5://user:hush@proxy.example.org:1080",
    "http://",
    "http://user:hush@",
    // The proxy would be the user, and its port the beginning of the password.
    "http://user:12#hush@proxy.example.org",
    "http://user:12/hush@proxy.example.org",
    "http://user:12?hush@proxy.example.org",
    "ftp://proxy.example.org",
  ])("are refused as %j without being shown", (given) => {
    const fault = faultOf({ HTTP_PROXY: given });
    expect(fault).toMatch(/^HTTP_PROXY: given \(hidden\); allowed: URL of an HTTP proxy/);
    expect(fault).not.toContain("hush");
    expect(fault.includes("SOCKS")).toBe(given.startsWith("socks"));
  });
});
