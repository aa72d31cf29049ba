import { homedir } from "node:os";
import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/config/config-error.ts";
import { loadConfig, type Environment } from "../../../src/config/load.ts";
import { settings, type Config } from "../../../src/config/schema.ts";

function faultsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

const SECRET = "0123456789abcdef0123456789abcdef";

describe("loadConfig", () => {
  it("returns the defaults for an empty environment, without warnings", () => {
    const { config, warnings } = loadConfig({});
    expect(config.PORT).toBe(8000);
    expect(config.HOST).toBe("127.0.0.1");
    expect(config.JWT_SECRET).toBeUndefined();
    expect(config.LOCAL_SLOTS).toBeUndefined();
    expect(Object.keys(config).toSorted()).toEqual(Object.keys(settings).toSorted());
    expect(warnings).toEqual([]);
  });

  it("replaces a leading ~ of a path by the home folder, and no other", () => {
    const { config } = loadConfig({ MODEL_PATH: "~/models/a.gguf", JWT_PUBLIC_KEY_FILE: "~" });
    expect(config.MODEL_PATH).toBe(`${homedir()}/models/a.gguf`);
    expect(config.JWT_PUBLIC_KEY_FILE).toBe(homedir());
    for (const path of ["~other/a.gguf", "/a/~/b.gguf", "a~.gguf"]) {
      expect(loadConfig({ MODEL_PATH: path }).config.MODEL_PATH).toBe(path);
    }
  });

  it("reads values of every kind", () => {
    const { config } = loadConfig({
      PORT: "0",
      ALLOW_ANONYMOUS: "no",
      JWT_SECRET: SECRET,
      CORS_ORIGINS: "https://a.example, null",
      AI_PROVIDER: "echo",
      AI_FALLBACK: "none",
      LOCAL_THREADS: "auto",
      LOCAL_SLOTS: "3",
      SYSTEM_PROMPT: "",
    });
    expect(config).toMatchObject({
      PORT: 0,
      ALLOW_ANONYMOUS: false,
      CORS_ORIGINS: ["https://a.example", "null"],
      AI_PROVIDER: "echo",
      AI_FALLBACK: ["none"],
      LOCAL_THREADS: undefined,
      LOCAL_SLOTS: 3,
      SYSTEM_PROMPT: "",
    });
  });

  it("lists all faults at once, with name, given value and allowed values", () => {
    const env = {
      PORT: "abc",
      AI_PROVIDER: "gpt",
      ALLOW_ANONYMOUS: "perhaps",
      MAX_CONNECTIONS: "0",
      CORS_ORIGINS: "a/b",
    };
    expect(faultsOf(env)).toEqual([
      'PORT: given "abc"; allowed: whole number 0..65535',
      'ALLOW_ANONYMOUS: given "perhaps"; allowed: true, false',
      expect.stringMatching(/^CORS_ORIGINS: given "a\/b"; allowed: comma-separated origins/),
      'AI_PROVIDER: given "gpt"; allowed: local, openai, huggingface, echo',
      'MAX_CONNECTIONS: given "0"; allowed: whole number 1..1000000',
    ]);
    expect(() => loadConfig(env)).toThrow(
      /^The configuration has 5 errors:\n {2}PORT: .*\n {2}ALLOW_ANONYMOUS: /,
    );
  });

  it("reports faults of single values and of combinations together", () => {
    expect(faultsOf({ PORT: "x", JWT_SECRET: "short" })).toHaveLength(2);
  });

  // An empty audience would otherwise accept tokens for every audience.
  it.each([
    "JWT_ISSUER",
    "JWT_AUDIENCE",
    "JWT_SECRET",
    "JWT_PUBLIC_KEY",
    "METRICS_TOKEN",
    "OPENAI_API_KEY",
    "HOST",
    "PORT",
  ])("rejects an empty %s", (name) => {
    for (const given of ["", "  "]) {
      const [fault] = faultsOf({ [name]: given });
      expect(fault).toMatch(new RegExp(`^${name}: given .*remove the variable`));
    }
  });

  it("accepts an empty list and an empty system prompt", () => {
    const { config } = loadConfig({
      CORS_ORIGINS: "",
      TRUSTED_PROXIES: " ",
      AI_FALLBACK: "",
      SYSTEM_PROMPT: "",
    });
    expect(config).toMatchObject({
      CORS_ORIGINS: [],
      TRUSTED_PROXIES: [],
      AI_FALLBACK: [],
      SYSTEM_PROMPT: "",
    });
    expect(loadConfig({}).config.AI_FALLBACK).toBeUndefined();
  });

  it.each([
    ["::1", "::1"],
    ["[::1]", "::1"],
    [" 0.0.0.0 ", "0.0.0.0"],
    ["::", "::"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["localhost", "localhost"],
    ["chat-1.example.org", "chat-1.example.org"],
  ])("accepts %j as HOST", (given, host) => {
    expect(loadConfig({ HOST: given }).config.HOST).toBe(host);
  });

  it.each([
    ["http://127.0.0.1", "set only the address here"],
    ["127.0.0.1:8000", "set the port in PORT"],
    ["localhost:8000", "set the port in PORT"],
    ["[::1]:8000", "set the port in PORT"],
    ["*", "0.0.0.0 listens on all addresses"],
    ["127.0.0.1,::1", "one address"],
    ["127.0.0.256", "IP address or host name"],
    ["127.0.0", "IP address or host name"],
    ["[localhost]", "IP address or host name"],
    ["a/b", "IP address or host name"],
    ["[::1", "IP address or host name"],
  ])("rejects %j as HOST with advice", (given, advice) => {
    expect(faultsOf({ HOST: given })[0]).toMatch(/^HOST: given .*; allowed: IP address or host name/);
    expect(faultsOf({ HOST: given })[0]).toContain(advice);
  });

  it.each([
    ["PROT", "PORT"],
    ["PORTS", "PORT"],
    ["port", "PORT"],
    ["HOTS", "HOST"],
    ["gpu", "GPU"],
    ["LOG_LEVL", "LOG_LEVEL"],
    ["LOGLEVEL", "LOG_LEVEL"],
    ["HTTPPROXY", "HTTP_PROXY"],
    ["ALOW_ANONYMOUS", "ALLOW_ANONYMOUS"],
    ["SYSTM_PROMPT", "SYSTEM_PROMPT"],
    ["MODEL_PAHT", "MODEL_PATH"],
    ["OPEN_AI_API_KEY", "OPENAI_API_KEY"],
  ])("warns about %s, which is near %s", (name, setting) => {
    expect(loadConfig({ [name]: "1" }).warnings).toEqual([
      `${name} is not a setting and is ignored; did you mean ${setting}?`,
    ]);
  });

  it("does not warn about variables of the system and of other programs", () => {
    const names =
      "HOME HOSTNAME HOSTTYPE PATH PWD OLDPWD SHELL SHLVL TERM USER LOGNAME LANG LC_ALL TZ TMPDIR EDITOR PAGER " +
      "DISPLAY MAIL COLUMNS LINES PS1 NODE_ENV NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_VERSION npm_config_cache INIT_CWD " +
      "http_proxy https_proxy no_proxy ftp_proxy FTP_PROXY MODULEPATH MODULE_PATH NODE_PATH GOPROXY all_proxy ALL_PROXY CI DEBUG UV_THREADPOOL_SIZE XDG_RUNTIME_DIR SSH_AUTH_SOCK " +
      "CUDA_VISIBLE_DEVICES NVIDIA_VISIBLE_DEVICES KUBERNETES_PORT KUBERNETES_SERVICE_HOST CPU POSTGRES_HOST DB_HOST " +
      "REDIS_PORT INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET WATCHDOG_USEC GPG_TTY CGROUP _";
    const env = Object.fromEntries(names.split(" ").map((name) => [name, "1"]));
    expect(loadConfig(env).warnings).toEqual([]);
  });

  it("converts origins to the form that browsers send, and names the word that is none, without a password", () => {
    const { config } = loadConfig({
      CORS_ORIGINS: "HTTPS://A.example/, tauri://localhost,https://*.b.example",
    });
    expect(config.CORS_ORIGINS).toEqual(["https://a.example", "tauri://localhost", "https://*.b.example"]);
    expect(faultsOf({ CORS_ORIGINS: "https://a.example,wss://b.example" })[0]).toMatch(
      /\("wss:\/\/b\.example": no page has an origin with wss:/,
    );
    expect(faultsOf({ CORS_ORIGINS: "https://me:hush@a.example" })[0]).not.toContain("hush");
  });

  it("rejects a JWT_SECRET under 32 bytes (not characters) without showing it", () => {
    expect(faultsOf({ JWT_SECRET: "x".repeat(31) })[0]).toMatch(
      /^JWT_SECRET: given \(hidden\), 31 bytes; allowed: at least 32/,
    );
    expect(faultsOf({ JWT_SECRET: "é".repeat(16) })).toEqual([]);
    expect(faultsOf({ JWT_SECRET: "hush" })[0]).not.toContain("hush");
  });

  it("rejects more than one key, so that only one algorithm family is accepted", () => {
    const [fault] = faultsOf({ JWT_SECRET: SECRET, JWT_PUBLIC_KEY: "pem", JWT_PUBLIC_KEY_FILE: "file" });
    expect(fault).toMatch(
      /^JWT_SECRET, JWT_PUBLIC_KEY, JWT_PUBLIC_KEY_FILE: given 3 keys; allowed: only one/,
    );
    expect(fault).not.toContain(SECRET);
  });

  it("rejects an output limit that leaves no tokens for the prompt", () => {
    expect(faultsOf({ LOCAL_CONTEXT_SIZE: "512" })[0]).toMatch(
      /^MAX_OUTPUT_TOKENS: given 512; allowed: less than .* \(512\)/,
    );
    expect(faultsOf({ LOCAL_CONTEXT_SIZE: "513" })).toEqual([]);
    expect(faultsOf({ LOCAL_CONTEXT_SIZE: "auto", MAX_OUTPUT_TOKENS: "100000" })).toEqual([]);
  });

  it("rejects a fallback list that combines none with providers", () => {
    expect(faultsOf({ AI_FALLBACK: "none,openai" })[0]).toMatch(
      /^AI_FALLBACK: given "none,openai"; allowed: none alone/,
    );
  });

  // uWebSockets.js aborts the process outside these bounds.
  it.each(["0", "7", "961", "8.5"])("rejects IDLE_TIMEOUT_SECONDS=%s", (given) => {
    expect(faultsOf({ IDLE_TIMEOUT_SECONDS: given })).toHaveLength(1);
  });

  it("rejects host names with a scheme, path or wildcard", () => {
    for (const given of ["https://a.example", "a.example/x", "*.example", "a b"]) {
      expect(faultsOf({ ALLOWED_HOSTS: given })).toHaveLength(1);
    }
    expect(faultsOf({ ALLOWED_HOSTS: "a.example,[::1]:80,::1" })).toEqual([]);
  });

  it("warns about unknown variables with our prefixes, suggesting the nearest name and hiding the value", () => {
    const { warnings } = loadConfig({
      AI_PROVIDR: "v1",
      LOCAL_SLOT: "v2",
      MAX_XYZXYZXYZ: "v3",
      JWT_SECRT: "v4",
      PATH: "v5",
    });
    expect(warnings).toEqual([
      "AI_PROVIDR is not a setting and is ignored; did you mean AI_PROVIDER?",
      "JWT_SECRT is not a setting and is ignored; did you mean JWT_SECRET?",
      "LOCAL_SLOT is not a setting and is ignored; did you mean LOCAL_SLOTS?",
      "MAX_XYZXYZXYZ is not a setting and is ignored",
    ]);
  });

  it("does not warn about variables of the OpenAI SDK and Hugging Face", () => {
    expect(loadConfig({ OPENAI_ORG_ID: "a", OPENAI_LOG: "b", HF_HOME: "c", HF_TOKEN: "d" }).warnings).toEqual(
      [],
    );
    expect(loadConfig({ OPENAI_APIKEY: "a", HF_APIKEY: "b" }).warnings).toHaveLength(2);
  });

  it("warns if no client could connect and if a claim is required without a key", () => {
    const { warnings } = loadConfig({ ALLOW_ANONYMOUS: "false", JWT_ISSUER: "me" });
    expect(warnings).toEqual([
      expect.stringMatching(/^JWT_ISSUER has no effect/),
      expect.stringMatching(/^no client can connect/),
    ]);
    expect(loadConfig({ ALLOW_ANONYMOUS: "false", JWT_ISSUER: "me", JWT_SECRET: SECRET }).warnings).toEqual(
      [],
    );
  });

  it("shows no secrets, URL passwords, control characters or very long values in faults", () => {
    const secrets = Object.entries(settings).filter(([, setting]) => setting.secret);
    expect(secrets.map(([name]) => name)).toContain("JWT_SECRET");
    expect(faultsOf({ OPENAI_BASE_URL: "ftp://me:pass@host" })[0]).toContain('"ftp://(hidden)@host"');
    expect(faultsOf({ PORT: "1\n\u001b[31m2" })[0]).toContain(String.raw`"1\n\u001b[31m2"`);
    expect(faultsOf({ PORT: "9".repeat(5000) })[0]?.length).toBeLessThan(200);
  });

  it("returns a complete configuration or throws a ConfigError for any input", () => {
    const name = fc.constantFrom(...(Object.keys(settings) as (keyof Config)[]));
    const value = fc.oneof(
      fc.string(),
      fc.integer().map(String),
      fc.constantFrom("true", "auto", "none", "*", "-1", "1e9"),
    );
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 6 }), (env) => {
        const faults = faultsOf(env);
        if (faults.length > 0) return;
        const { config } = loadConfig(env);
        expect(Number.isInteger(config.PORT) && config.PORT >= 0 && config.PORT <= 65_535).toBe(true);
        expect(config.JWT_SECRET === undefined || Buffer.byteLength(config.JWT_SECRET) >= 32).toBe(true);
      }),
    );
  });
});
