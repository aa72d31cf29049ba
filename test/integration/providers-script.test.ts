import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { slowDrip, status, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const root = join(import.meta.dirname, "../..");
const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
const KEY = "sk-never-to-be-seen-0123456789";

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  /** Cells of each row of the table, without the header. */
  readonly rows: readonly (readonly string[])[];
}

let cwd: string;
beforeEach(() => void (cwd = mkdtempSync(join(tmpdir(), "providers-"))));
afterEach(() => rmSync(cwd, { recursive: true }));

/** Runs the script as `npm run providers` does, by default in a temporary folder. */
function run(settings: Readonly<Record<string, string>>, folder = cwd): Promise<Outcome> {
  const env = { PATH: process.env["PATH"], HOME: cwd, LOCAL_THREADS: "1", ...settings };
  const child = spawn(process.execPath, ["--import", loader, join(root, "scripts/providers.ts")], {
    cwd: folder,
    env,
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 50_000);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      const lines = output.split("\n").filter((line) => /^(local|openai|huggingface|echo) {2}/.test(line));
      resolve({ code, output, rows: lines.map((line) => line.split(/ {2,}/)) });
    });
  });
}

describe("npm run providers", () => {
  let upstream: FaultServer;
  let openai: Readonly<Record<string, string>>;

  beforeAll(async () => {
    upstream = await startFaultServer();
    openai = { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: upstream.baseUrl, AI_MODEL: "the-model" };
  });
  afterAll(() => upstream.close());
  beforeEach(() => {
    upstream.play(whole());
    upstream.playModels(status(404));
  });

  it("shows a working chain with the time to the first token of each provider", async () => {
    upstream.play(slowDrip(30, ["ready"]));
    const chain = { AI_PROVIDER: "local", AI_FALLBACK: "openai", MODEL_PATH: await tinyModel() };
    // The engine process can resolve the TypeScript loader only from the project folder.
    const { code, rows, output } = await run({ ...openai, ...chain }, root);
    expect(code, output).toBe(0);
    expect(rows.map(([name, state]) => [name, state])).toEqual([
      ["local", "ready"],
      ["openai", "ready"],
    ]);
    expect(rows[1]?.[2]).toBe("the-model");
    for (const row of rows) {
      expect(row[3]).toMatch(/^\d+ ms$/);
      expect(row[4]).toBe("-");
    }
    expect(Number.parseInt(rows[1]?.[3] ?? "", 10)).toBeGreaterThanOrEqual(30);
    expect(output).not.toContain(KEY);
  });

  it("reports what to fix if the key is refused, and exits with 1", async () => {
    upstream.play(status(401, { error: { message: `bad key ${KEY}` } }));
    const { code, rows, output } = await run({ ...openai, AI_PROVIDER: "openai" });
    expect(code).toBe(1);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toEqual([
      "openai",
      "failed",
      "the-model",
      "-",
      "The openai provider rejected the API key; check OPENAI_API_KEY (status 401).",
    ]);
    expect(output).not.toContain(KEY);
  });

  it("reports a key that is refused at the start, and a model that is not listed", async () => {
    upstream.playModels(status(401));
    const refused = await run({ ...openai, AI_PROVIDER: "openai" });
    expect(refused.rows[0]?.slice(0, 2)).toEqual(["openai", "cannot start"]);
    expect(refused.code).toBe(1);
    upstream.playModels(status(200, { data: [{ id: "another" }] }));
    const unlisted = await run({ ...openai, AI_PROVIDER: "openai" });
    expect(unlisted.code).toBe(0);
    expect(unlisted.output).toContain("check AI_MODEL (listed models: another)");
  });

  it("exits with 2 if only a fallback works, and reads .env", async () => {
    writeFileSync(
      join(cwd, ".env"),
      Object.entries(openai)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    const { code, rows } = await run({ MODEL_PATH: "/no/such/model.gguf" });
    expect(code).toBe(2);
    expect(rows.map(([name, state]) => [name, state])).toEqual([
      ["local", "cannot start"],
      ["openai", "ready"],
    ]);
    expect(rows[0]?.[4]).toContain("MODEL_PATH");
  });

  it("reports a refused connection without the credentials of the URL", async () => {
    await upstream.goDown();
    const url = upstream.baseUrl.replace("://", `://ada:${KEY}@`);
    const { code, rows, output } = await run({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "huggingface",
      OPENAI_BASE_URL: url,
    });
    await upstream.comeUp();
    expect(code).toBe(1);
    expect(rows[0]?.[4]).toContain("ECONNREFUSED");
    expect(rows[1]).toEqual(expect.arrayContaining(["huggingface", "cannot start", "HF_API_KEY is not set"]));
    expect(output).not.toContain(KEY);
  });

  it("lists invalid settings", async () => {
    const { code, output } = await run({ AI_PROVIDER: "chatgpt" });
    expect(code).toBe(1);
    expect(output).toContain("AI_PROVIDER");
  });
});
